"""A thread for what blocks on the disk, so that a slow one does not hold up the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class DiskThread:
    """Does one thing after the other: the next one waits, even when the caller of the first is cancelled."""

    def __init__(self, name: str) -> None:
        """``name`` is the thread's."""
        self._thread = ThreadPoolExecutor(1, name)

    async def run(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Do something in the thread and return what it returns."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: work(*arguments, **named))

    def close(self) -> None:
        """Let the thread end after what it has begun."""
        self._thread.shutdown(wait=False)
