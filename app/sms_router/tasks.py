"""Ending the tasks that an object owns."""

from __future__ import annotations

import asyncio
from typing import Any

CANCEL_AGAIN = 0.05
"""Seconds after which a task that did not end is cancelled once more."""


async def cancel_and_wait(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel tasks until each has ended; None stands for one that was never begun.

    One cancellation is not enough for what speaks to Redis: one that arrives just as redis-py has written
    a command is lost (asyncio.wait_for).
    """
    pending = {task for task in tasks if task is not None}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN)
