from __future__ import annotations

import asyncio

from sms_router.routing.inbox.waiters import AnswerWaiters

LONG = 20
"""Seconds after which a test is taken to hang."""


async def waiting(waiters: AnswerWaiters, seconds: float = 10 * LONG) -> asyncio.Task[None]:
    task = asyncio.create_task(waiters.wait("AC/SM", seconds))
    await asyncio.sleep(0)
    return task


async def test_a_notification_wakes_only_those_who_wait_for_the_message() -> None:
    waiters = AnswerWaiters()
    async with asyncio.timeout(LONG):
        tasks = [await waiting(waiters) for _ in range(3)]
        waiters.wake("AC/other")
        await asyncio.sleep(0)
        assert not any(task.done() for task in tasks)
        waiters.wake("AC/SM")
        await asyncio.gather(*tasks)


async def test_a_cancelled_waiter_takes_no_notification_from_others() -> None:
    waiters = AnswerWaiters()
    async with asyncio.timeout(LONG):
        impatient, leaving, patient = [
            await waiting(waiters, seconds) for seconds in (0.01, 10 * LONG, 10 * LONG)
        ]
        await impatient
        leaving.cancel()
        late = await waiting(waiters)
        waiters.wake("AC/SM")
        await asyncio.gather(patient, late)


async def test_a_waiter_that_ends_leaves_nothing_behind() -> None:
    waiters = AnswerWaiters()
    await waiters.wait("AC/SM", 0)
    leaving = await waiting(waiters)
    assert len(waiters) == 1
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    waiters.wake("AC/unheard of")
    assert len(waiters) == 0


def test_a_notification_before_the_wait_counts() -> None:
    waiters = AnswerWaiters()
    before = waiters.notifications
    waiters.wake("AC/SM")
    assert waiters.notified_since("AC/SM", before)
    assert not waiters.notified_since("AC/SM", waiters.notifications)
    assert not waiters.notified_since("AC/other", before)


def test_old_notifications_are_dropped() -> None:
    waiters = AnswerWaiters()
    for number in range(1001):
        waiters.wake(f"AC/{number}")
    assert [waiters.notified_since(f"AC/{number}", 0) for number in (0, 1, 1000)] == [False, True, True]
