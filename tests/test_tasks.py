"""Periodic tasks, and waiting for cancelled ones."""

from __future__ import annotations

import asyncio

import pytest

from sms_router import tasks
from sms_router.tasks import PeriodicTask, cancel_and_wait


async def test_a_task_that_loses_a_cancellation_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = 0

    async def deaf() -> None:
        nonlocal lost
        while lost < 3:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
        await asyncio.Event().wait()

    monkeypatch.setattr(tasks, "CANCEL_INTERVAL", 0.001)
    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    await cancel_and_wait(task, None)
    assert (task.cancelled(), lost) == (True, 3)


async def test_ended_and_missing_tasks_are_accepted() -> None:
    over = asyncio.create_task(asyncio.sleep(0))
    await over
    await cancel_and_wait(over, None)
    await cancel_and_wait()


async def test_periodic_work_goes_on_after_a_failed_run(caplog: pytest.LogCaptureFixture) -> None:
    runs: list[int] = []
    third = asyncio.Event()

    async def work() -> None:
        runs.append(len(runs))
        if len(runs) == 2:
            raise ValueError("the second run")
        if len(runs) == 3:
            third.set()

    task = PeriodicTask("counting", 0.001, work)
    task.start()
    await third.wait()
    await task.aclose()
    assert runs[:3] == [0, 1, 2]
    assert [(record.message, record.exc_info is not None) for record in caplog.records] == [
        ("counting failed; it runs again in 0.001 s", True)
    ]


async def test_closing_cancels_a_run_in_progress_and_no_other_run_follows() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = PeriodicTask("waiting", 0.0, work)
    task.start()
    await began.wait()
    began.clear()
    await task.aclose()
    await asyncio.sleep(0.01)
    assert (ended.is_set(), began.is_set()) == (True, False)


async def test_a_task_that_waits_first_may_be_closed_before_its_first_run() -> None:
    runs: list[int] = []

    async def work() -> None:
        runs.append(1)

    task = PeriodicTask("later", 60.0, work, wait_first=True)
    await task.aclose()
    task.start()
    await asyncio.sleep(0)
    await task.aclose()
    assert runs == []
