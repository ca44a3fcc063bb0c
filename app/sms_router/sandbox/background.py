"""Background work with an owner: bounded, and awaited at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

_log = logging.getLogger(__name__)


class BackgroundTasks:
    """Runs work beside the requests; nothing is lost from sight."""

    def __init__(self, most: int) -> None:
        """Hold at most ``most`` pieces of work at a time."""
        self._most = most
        self._running: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """How many pieces of work are under way."""
        return len(self._running)

    @property
    def full(self) -> bool:
        """True when no more work fits."""
        return len(self._running) >= self._most

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run some work; ask ``full`` before."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def wait_all(self) -> None:
        """Wait until nothing is running, also what was started meanwhile."""
        while self._running:
            await asyncio.wait(tuple(self._running))

    async def close(self, grace: float) -> None:
        """Let the work finish for ``grace`` seconds, then stop it; return when all of it has ended."""
        if self._running:
            await asyncio.wait(tuple(self._running), timeout=grace)
        unfinished = tuple(self._running)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("background work of the sandbox failed", exc_info=error)
