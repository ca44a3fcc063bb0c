"""Tasks that an object owns: periodic work, and waiting for cancelled tasks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

log = logging.getLogger("sms_router.tasks")

Result = TypeVar("Result")

CANCEL_INTERVAL = 0.05
"""Seconds after which a task that did not end is cancelled once more."""


async def cancel_and_wait(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel tasks until each has ended; None stands for one that was never started.

    One cancellation is not enough for a task that uses Redis: `asyncio.wait_for` loses one that arrives
    just as redis-py has written a command.
    """
    pending = {task for task in tasks if task is not None}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_INTERVAL)


def start_task(work: Coroutine[Any, Any, Result], name: str, tasks: set[asyncio.Task[Result]]) -> None:
    """Start a task, which is in a set until it ends."""
    task = asyncio.create_task(work, name=name)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def wait_or_cancel(tasks: Iterable[asyncio.Task[Any]], seconds: float) -> bool:
    """Wait for tasks, then cancel those that have not ended; return whether all have ended.

    Both waits take some seconds at most, because a task may ignore its cancellation.
    """
    pending = set(tasks)
    if pending:
        _, pending = await asyncio.wait(pending, timeout=seconds)
    for task in pending:
        task.cancel()
    if pending:
        _, pending = await asyncio.wait(pending, timeout=seconds)
    return not pending


async def wait_for_event(event: asyncio.Event, seconds: float) -> None:
    """Wait until an event is set, or for some seconds.

    `asyncio.wait_for` would lose a cancellation that arrives with the event.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


@dataclass(eq=False)
class PeriodicTask:
    """Awaits a piece of work again and again, with a pause between two runs.

    An exception ends that run, not the task: it is logged with its traceback, and the next run follows
    after the pause. Work that expects an exception handles it itself.
    """

    name: str
    """Of the asyncio task, and of the work in the log."""
    interval: float
    """Seconds of pause between the end of a run and the start of the next one."""
    work: Callable[[], Awaitable[object]]
    wait_first: bool = field(default=False, kw_only=True)
    """Whether the first run comes after a pause, not at once."""
    sleep: Callable[[float], Awaitable[object]] = field(default=asyncio.sleep, kw_only=True)
    """Waits for the pause, unless something ends it earlier."""
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def aclose(self) -> None:
        """Cancel the task and wait for its end; a run in progress is cancelled too."""
        await cancel_and_wait(self._task)

    async def _run(self) -> None:
        if self.wait_first:
            await self.sleep(self.interval)
        while True:
            try:
                await self.work()
            except Exception:
                log.exception("%s failed; it runs again in %.4g s", self.name, self.interval)
            await self.sleep(self.interval)
