import asyncio

import pytest

from loadtests.profiling.figures import REST, make_profile
from loadtests.profiling.stages import ENTRY_STAGE, STAGES
from loadtests.profiling.stopwatch import Cost, StageTime, Stopwatch, calibrate


def test_results_and_errors_pass_through() -> None:
    stopwatch = Stopwatch()
    divide = stopwatch.wrap("divide", lambda a, b: a // b)
    assert divide(7, b=2) == 3
    with pytest.raises(ZeroDivisionError):
        divide(1, 0)
    assert stopwatch.stages["divide"].calls == 2


async def test_a_coroutines_results_errors_and_cancellation_pass_through() -> None:
    stopwatch = Stopwatch()
    ended = []

    async def work(event: asyncio.Event) -> str:
        try:
            await event.wait()
        finally:
            ended.append(True)
        return "done"

    timed = stopwatch.wrap_coroutine("work", work)
    event = asyncio.Event()
    task = asyncio.create_task(timed(event))
    await asyncio.sleep(0)
    event.set()
    assert await task == "done"
    cancelled = asyncio.create_task(timed(asyncio.Event()))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert ended == [True, True]
    assert stopwatch.stages["work"].calls == 2
    assert stopwatch.stages["work"].steps == 4


def test_nested_clocks_are_counted_where_they_run() -> None:
    stopwatch = Stopwatch()
    inner = stopwatch.wrap("inner", lambda: None)
    stopwatch.wrap("outer", lambda: [inner(), inner()])()
    outer = stopwatch.stages["outer"]
    assert (outer.calls, outer.nested_functions, outer.nested_coroutines) == (1, 2, 0)
    assert stopwatch.stages["inner"].calls == 2
    stopwatch.reset()
    assert stopwatch.stages["outer"] == StageTime()


def test_calibration_measures_a_cost() -> None:
    cost = calibrate(rounds=200)
    assert cost.function > 0
    assert cost.coroutine > 0


def test_stages_and_the_rest_add_up_to_the_router_without_a_stopwatch() -> None:
    stages = {stage.name: StageTime(2_000_000, 100, 100) for stage in STAGES}
    total = 20.0 * len(STAGES)
    profile = make_profile(stages, Cost(1000, 0, 1000, 0), total, total + 2 * len(STAGES), 50.0)
    assert profile.messages == stages[ENTRY_STAGE].calls == 100
    assert {round(row.microseconds, 6) for row in profile.rows[:-1]} == {18.0}
    assert profile.rows[-1].name == REST
    assert sum(row.microseconds for row in profile.rows) == pytest.approx(total)
    assert sum(map(profile.share, profile.rows)) == pytest.approx(1)
