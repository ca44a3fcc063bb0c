"""Tasks that an object owns: periodic work, and waiting for cancelled tasks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
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


async def wait_for_event(event: asyncio.Event, seconds: float) -> None:
    """Wait until an event is set, or for some seconds.

    `asyncio.wait_for` would lose a cancellation that arrives with the event.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class PeriodicTask:
    """Awaits a piece of work again and again, with a pause between two runs.

    An exception ends that run, not the task: it is logged with its traceback, and the next run follows
    after the pause. Work that expects an exception handles it itself.

    Args:
        name: of the asyncio task, and of the work in the log.
        interval: seconds of pause between the end of a run and the start of the next one.
        work: called without arguments.
        wait_first: whether the first run comes after a pause, not at once.
        sleep: waits for the pause; `asyncio.sleep`, unless something may end it earlier.

    """

    def __init__(
        self,
        name: str,
        interval: float,
        work: Callable[[], Awaitable[object]],
        *,
        wait_first: bool = False,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._name = name
        self._interval = interval
        self._work = work
        self._wait_first = wait_first
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def aclose(self) -> None:
        """Cancel the task and wait for its end; a run in progress is cancelled too."""
        await cancel_and_wait(self._task)

    async def _run(self) -> None:
        if self._wait_first:
            await self._sleep(self._interval)
        while True:
            try:
                await self._work()
            except Exception:
                log.exception("%s failed; it runs again in %.4g s", self._name, self._interval)
            await self._sleep(self._interval)
