"""Background tasks."""

import asyncio
import logging

import pytest

from sms_router.sandbox.background import BackgroundTasks


async def test_a_task_that_does_not_end_is_cancelled() -> None:
    tasks, ended = BackgroundTasks(1), asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    tasks.start(endless())
    assert tasks.is_full
    await asyncio.sleep(0)
    await tasks.close(grace=0)
    assert ended.is_set()
    assert not tasks.is_full


async def test_a_task_that_fails_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise LookupError("lost")

    tasks = BackgroundTasks(1)
    with caplog.at_level(logging.ERROR):
        await asyncio.gather(tasks.start(broken()), return_exceptions=True)
        await tasks.wait_all()
    assert [record.message for record in caplog.records] == ["background task of the sandbox failed"]
