import asyncio

import pytest

from loadtests.profiling.figures import REST, profile_of
from loadtests.profiling.stages import ENTRANCE, STAGES
from loadtests.profiling.stopwatch import Cost, Own, Stopwatch, calibrate


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
    assert (outer.calls, outer.inside, outer.inside_waiting) == (1, 2, 0)
    assert stopwatch.stages["inner"].calls == 2
    stopwatch.reset()
    assert stopwatch.stages["outer"] == Own()


def test_calibration_finds_that_nothing_is_free() -> None:
    cost = calibrate(rounds=200)
    assert cost.plain > 0
    assert cost.waiting > 0


def test_stages_and_the_rest_add_up_to_the_router_without_a_stopwatch() -> None:
    stages = {stage.name: Own(2_000_000, 100, 100) for stage in STAGES}
    total = 20.0 * len(STAGES)
    taken = profile_of(stages, Cost(1000, 0, 1000, 0), total, total + 2 * len(STAGES), 50.0)
    assert taken.messages == stages[ENTRANCE].calls == 100
    assert {round(row.microseconds, 6) for row in taken.rows[:-1]} == {18.0}
    assert taken.rows[-1].name == REST
    assert sum(row.microseconds for row in taken.rows) == pytest.approx(total)
    assert sum(map(taken.share, taken.rows)) == pytest.approx(1)
