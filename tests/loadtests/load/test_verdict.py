from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.load.verdict import (
    Figures,
    Limits,
    exceeded_limits,
    make_row,
    merge_times,
    percentile,
    read_figures,
    write_figures,
)

GOOD = Figures(
    rows=(make_row("text", {5: 90, 20: 10}, 0),),
    total=make_row("all", {5: 90, 20: 10}, 0),
    messages=100,
    wrong=0,
    errors=0,
    actions=100,
    seconds=10,
    wanted_rate=10,
    faults=(),
)
LIMITS = Limits(p95=100, p99=200)


def test_a_good_run_exceeds_no_limit() -> None:
    assert exceeded_limits(GOOD, LIMITS) == []


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        (replace(GOOD, messages=0), "no message was answered"),
        (replace(GOOD, wrong=1), "1 answers wrong"),
        (replace(GOOD, errors=2), "the load test itself failed 2 times"),
        (replace(GOOD, total=make_row("all", {5: 90, 150: 10}, 0)), "p95 is 150 ms; the limit is 100 ms"),
        (replace(GOOD, total=make_row("all", {5: 98, 250: 2}, 0)), "p99 is 250 ms; the limit is 200 ms"),
        (replace(GOOD, actions=70), "7 actions a second, 10 were requested"),
        (replace(GOOD, seconds=0), "0 actions a second"),
    ],
    ids=["nothing", "wrong", "errors", "p95", "p99", "rate", "no time"],
)
def test_each_limit_can_be_exceeded(figures: Figures, why: str) -> None:
    (sentence,) = exceeded_limits(figures, LIMITS)
    assert why in sentence


def test_without_a_requested_rate_there_is_no_rate_limit() -> None:
    assert exceeded_limits(replace(GOOD, wanted_rate=0, actions=1), LIMITS) == []


def test_figures_survive_their_file(tmp_path: Path) -> None:
    figures = replace(GOOD, faults=("text: wrong",))
    write_figures(tmp_path / "f", figures)
    assert read_figures(tmp_path / "f") == figures


@given(st.lists(st.integers(0, 50), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_percentiles_are_those_of_the_sorted_list(times: list[int], share: float) -> None:
    counted = merge_times([{time: 1} for time in times])
    found = percentile(counted, share)
    assert sum(time <= found for time in times) >= share * len(times)
    assert sum(time < found for time in times) < share * len(times)


def test_without_times_there_is_no_percentile() -> None:
    assert percentile({}, 0.5) == 0
    assert make_row("none", {}, 0).longest == 0
