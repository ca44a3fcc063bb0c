"""The sandbox's clocks, and advancing them until all tasks are idle."""

import asyncio

import pytest

from sms_router.sandbox.background import BackgroundTasks
from sms_router.sandbox.clock import ManualClock, SystemClock, TimeControl, parse_time


async def test_a_manual_clock_wakes_sleepers_at_their_time() -> None:
    clock, woken = ManualClock(), list[int]()

    async def sleeper(seconds: int) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        for seconds in (3, 1, 0):
            group.create_task(sleeper(seconds))
        await asyncio.sleep(0)
        clock.advance(2)
        await asyncio.sleep(0)
        assert woken == [0, 1]
        clock.advance(1)
    assert woken == [0, 1, 3]


async def test_the_systems_clock_is_in_utc() -> None:
    clock = SystemClock()
    await clock.sleep(0)
    assert str(clock.now().tzinfo) == "UTC"


async def test_tasks_that_sleep_by_the_clock_are_idle() -> None:
    clock, tasks = ManualClock(), BackgroundTasks(2)
    time_control, released = TimeControl(clock, (tasks,)), asyncio.Event()
    tasks.start(clock.sleep(60))
    assert await time_control.wait_until_idle()

    async def waits() -> None:
        await released.wait()

    tasks.start(waits())
    assert not await time_control.wait_until_idle(limit=0.01)
    released.set()
    await time_control.advance(60)
    assert tasks.running == 0


async def test_only_a_manual_clock_can_be_advanced() -> None:
    with pytest.raises(TypeError):
        await TimeControl(SystemClock(), ()).advance(1)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-12-01", "2026-12-01T00:00:00+00:00"),
        ("2026-12-01T10:00:00+02:00", "2026-12-01T08:00:00+00:00"),
        ("2026-12-01T10:00:00Z", "2026-12-01T10:00:00+00:00"),
    ],
)
def test_a_time_without_a_time_zone_is_utc(text: str, time: str) -> None:
    assert parse_time(text).isoformat() == time


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Invalid isoformat string"),
        ("soon", "Invalid isoformat string"),
        ("2026-13-01", "month must be in"),
        ("0001-01-01T00:00:00+14:00", "out of range"),
    ],
)
def test_a_text_that_is_no_time_is_a_value_error(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_time(text)
