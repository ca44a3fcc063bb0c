import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.bench.contestants import CONTESTANTS, UnknownContestantError, chosen
from loadtests.bench.figures import Latency, Turn, latency_of, percentile, summarise
from loadtests.bench.load import Tally

SHOWN = "loadtests/bench/apps/express"
CONTESTANTS_FOLDER = Path(__file__).resolve().parents[2] / "loadtests/bench/apps"

TURN = Turn(
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
    found = percentile(sorted(values), share)
    assert sum(value <= found for value in values) >= share * len(values)


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_latencies_are_milliseconds() -> None:
    tally = Tally(latencies=[0.003, 0.001, 0.002], seconds=1.0)
    assert latency_of(tally) == Latency(rate=3.0, p50=2.0, p99=3.0, p999=3.0)


def test_a_load_without_answers_has_no_latency() -> None:
    assert math.isnan(latency_of(Tally()).p50)


def test_a_summary_is_of_medians_and_its_wrong_answers_add_up() -> None:
    turns = [
        replace(TURN, cpu=cpu, store_cpu=cpu / 10, wrong=1, faults=("late",)) for cpu in (90.0, 300.0, 110.0)
    ]
    summary = summarise("router", turns)
    assert (summary.cpu, summary.cpu_least, summary.cpu_most, summary.store_cpu) == (110, 90, 300, 11)
    assert (summary.wrong, summary.faults) == (3, ("late",) * 3)


def test_everybody_is_chosen_unless_some_are_named() -> None:
    assert chosen("") == CONTESTANTS
    assert [contestant.name for contestant in chosen("router, floor")] == ["floor", "router"]


def test_a_stranger_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(UnknownContestantError, match=r"nobody is called django; there are floor, bare"):
        chosen("floor,django")


def test_a_command_line_carries_the_port() -> None:
    assert "127.0.0.1:8123" in chosen("flask")[0].command(8123)
    assert "8123" in chosen("floor")[0].command(8123)
    assert chosen("express")[0].command(8123)[0] == "node"


def test_who_needs_what_this_machine_lacks_is_left_out_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (express,) = chosen("express")
    (tmp_path / "node").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    here = CONTESTANTS_FOLDER / "express"
    assert replace(express, node=here / "nowhere").missing().endswith(f"npm ci --prefix {SHOWN}/nowhere")
    (tmp_path / "node").unlink()
    assert "no node" in express.missing()
    assert not chosen("fastapi")[0].missing()
