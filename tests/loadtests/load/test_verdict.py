from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.load.verdict import (
    Figures,
    Limits,
    broken_limits,
    merged,
    percentile,
    read_figures,
    row,
    write_figures,
)

GOOD = Figures(
    rows=(row("text", {5: 90, 20: 10}, 0),),
    whole=row("all", {5: 90, 20: 10}, 0),
    messages=100,
    wrong=0,
    errors=0,
    acts=100,
    seconds=10,
    wanted=10,
    faults=(),
)
LIMITS = Limits(p95=100, p99=200)


def test_a_good_run_breaks_no_limit() -> None:
    assert broken_limits(GOOD, LIMITS) == []


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        (replace(GOOD, messages=0), "no message was answered"),
        (replace(GOOD, wrong=1), "1 answers wrong"),
        (replace(GOOD, errors=2), "the load tool itself failed 2 times"),
        (replace(GOOD, whole=row("all", {5: 90, 150: 10}, 0)), "p95 is 150 ms; the limit is 100 ms"),
        (replace(GOOD, whole=row("all", {5: 98, 250: 2}, 0)), "p99 is 250 ms; the limit is 200 ms"),
        (replace(GOOD, acts=70), "7 a second where 10 were wanted"),
        (replace(GOOD, seconds=0), "0 a second"),
    ],
    ids=["nothing", "wrong", "errors", "p95", "p99", "rate", "no time"],
)
def test_each_limit_can_be_broken(figures: Figures, why: str) -> None:
    (sentence,) = broken_limits(figures, LIMITS)
    assert why in sentence


def test_where_no_rate_was_wanted_none_is_missed() -> None:
    assert broken_limits(replace(GOOD, wanted=0, acts=1), LIMITS) == []


def test_figures_survive_their_file(tmp_path: Path) -> None:
    figures = replace(GOOD, faults=("text: wrong",))
    write_figures(tmp_path / "f", figures)
    assert read_figures(tmp_path / "f") == figures


@given(st.lists(st.integers(0, 50), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_percentiles_are_those_of_the_sorted_list(times: list[int], share: float) -> None:
    counted = merged([{time: 1} for time in times])
    found = percentile(counted, share)
    assert sum(time <= found for time in times) >= share * len(times)
    assert sum(time < found for time in times) < share * len(times)


def test_without_times_there_is_no_percentile() -> None:
    assert percentile({}, 0.5) == 0
    assert row("none", {}, 0).longest == 0
