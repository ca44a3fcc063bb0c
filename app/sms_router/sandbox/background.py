"""Background tasks of the sandbox: bounded, and awaited on shutdown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

from sms_router.tasks import cancel_and_wait

_log = logging.getLogger(__name__)


class BackgroundTasks:
    """Owns tasks that run beside the requests; a task that fails is logged."""

    def __init__(self, max_tasks: int) -> None:
        self._max_tasks = max_tasks
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        return len(self._tasks)

    @property
    def is_full(self) -> bool:
        return len(self._tasks) >= self._max_tasks

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run a coroutine, also when ``is_full``: what to do then is the caller's decision."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    async def wait_all(self) -> None:
        """Wait until no task is running, including those that were started meanwhile."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def close(self, grace: float) -> None:
        """Let the tasks finish for ``grace`` seconds, then cancel them; return when all have ended."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=grace)
        await cancel_and_wait(*self._tasks)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("background task of the sandbox failed", exc_info=error)
