"""Tasks that are ended have ended."""

from __future__ import annotations

import asyncio

import pytest

from sms_router import tasks
from sms_router.tasks import cancel_and_wait


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

    monkeypatch.setattr(tasks, "CANCEL_AGAIN", 0.001)
    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    await cancel_and_wait(task, None)
    assert (task.cancelled(), lost) == (True, 3)


async def test_what_has_ended_or_was_never_begun_is_no_trouble() -> None:
    over = asyncio.create_task(asyncio.sleep(0))
    await over
    await cancel_and_wait(over, None)
    await cancel_and_wait()
