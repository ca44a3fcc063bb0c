import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.bench.figures import Latency, Measurement, latency_of, percentile, summarize
from loadtests.bench.load import Tally
from loadtests.bench.stacks import STACKS, UnknownStackError, select_stacks

EXPRESS = "loadtests/bench/apps/express"
STACKS_FOLDER = Path(__file__).resolve().parents[2] / "loadtests/bench/apps"

MEASUREMENT = Measurement(
    cpu=100.0,
    store_cpu=None,
    rate=9000.0,
    latency=Latency(4500.0, 1.0, 2.0, 3.0),
    resident=50.0,
    generator_busy=0.4,
    wrong=0,
    faults=(),
)


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.501, 51), (0.99, 99), (0.999, 100), (1.0, 100)]
)
def test_percentiles_are_values_that_occurred(share: float, value: int) -> None:
    assert percentile(range(1, 101), share) == value


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0, 1))
def test_a_percentile_is_not_exceeded_by_its_share(values: list[float], share: float) -> None:
    value = percentile(sorted(values), share)
    assert sum(each <= value for each in values) >= share * len(values)


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_latencies_are_milliseconds() -> None:
    tally = Tally(latencies=[0.003, 0.001, 0.002], seconds=1.0)
    assert latency_of(tally) == Latency(rate=3.0, p50=2.0, p99=3.0, p999=3.0)


def test_a_load_without_answers_has_no_latency() -> None:
    assert math.isnan(latency_of(Tally()).p50)


def test_a_summary_is_of_medians_and_its_wrong_answers_add_up() -> None:
    measurements = [
        replace(MEASUREMENT, cpu=cpu, store_cpu=cpu / 10, wrong=1, faults=("late",))
        for cpu in (90.0, 300.0, 110.0)
    ]
    summary = summarize("router", measurements)
    assert (summary.cpu, summary.cpu_least, summary.cpu_most, summary.store_cpu) == (110, 90, 300, 11)
    assert (summary.wrong, summary.faults) == (3, ("late",) * 3)


def test_all_stacks_are_selected_unless_some_are_named() -> None:
    assert select_stacks("") == STACKS
    assert [stack.name for stack in select_stacks("router, floor")] == ["floor", "router"]


def test_an_unknown_stack_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownStackError, match=r"unknown stack django; there are floor, bare"):
        select_stacks("floor,django")


def test_a_command_has_the_port() -> None:
    assert "127.0.0.1:8123" in select_stacks("flask")[0].command(8123)
    assert "8123" in select_stacks("floor")[0].command(8123)
    assert select_stacks("express")[0].command(8123)[0] == "node"


def test_a_stack_that_cannot_run_here_is_left_out_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (express,) = select_stacks("express")
    (tmp_path / "node").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    here = STACKS_FOLDER / "express"
    assert replace(express, node=here / "nowhere").missing().endswith(f"npm ci --prefix {EXPRESS}/nowhere")
    (tmp_path / "node").unlink()
    assert "node is not on the PATH" in express.missing()
    assert not select_stacks("fastapi")[0].missing()
