"""Clocks, identifiers and background tasks."""

import asyncio
import logging
from dataclasses import replace

import pytest

from sms_router.sandbox.background import BackgroundTasks
from sms_router.sandbox.clock import ManualClock, SystemClock
from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.state.phones import PhoneInboxes, ReceivedMessage


def test_a_seed_makes_the_identifiers_repeatable() -> None:
    first, second, other = Identifiers(1), Identifiers(1), Identifiers(2)
    assert [first.sid("SM") for _ in range(3)] == [second.sid("SM") for _ in range(3)]
    assert other.sid("SM") != Identifiers(1).sid("SM")
    assert Identifiers().sid("SM") != Identifiers().sid("SM")


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


async def test_a_task_that_does_not_end_is_cancelled() -> None:
    tasks, gone = BackgroundTasks(1), asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()

    tasks.start(endless())
    assert tasks.is_full
    await asyncio.sleep(0)
    await tasks.close(grace=0)
    assert gone.is_set()
    assert not tasks.is_full


async def test_a_task_that_fails_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise LookupError("lost")

    tasks = BackgroundTasks(1)
    with caplog.at_level(logging.ERROR):
        await asyncio.gather(tasks.start(broken()), return_exceptions=True)
        await tasks.wait_all()
    assert [record.message for record in caplog.records] == ["background task of the sandbox failed"]


def test_a_phone_stores_a_limited_number_of_messages() -> None:
    inboxes, message = PhoneInboxes(), ReceivedMessage("SM1", "12345", "Hi", (), ManualClock().now())
    for index in range(205):
        inboxes.add_received("+14155550123", replace(message, sid=f"SM{index}"))
    received = inboxes.get("+14155550123").received
    assert (len(received), received[0].sid) == (200, "SM5")
