"""The threads that plain handlers run in: so many, and a bounded queue before them."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from threading import Thread

WAITING_FOR_EACH = 64
"""Calls that may wait for each thread; beyond it a handler fails at once instead of piling up."""


class QueueFullError(RuntimeError):
    """Too many calls wait for a thread already."""


@dataclass(frozen=True, slots=True)
class _Raised:
    """What a function raised, carried as a value: a future cannot carry a StopIteration."""

    error: BaseException


_Work = tuple["Future[object]", Callable[[], object]]


class HandlerThreadPool:
    """Runs plain functions beside the event loop.

    The threads are daemons: a handler that hangs for ever must not keep a worker from stopping.
    """

    def __init__(self, count: int) -> None:
        """Start no more than ``count`` threads, each when it is needed first."""
        self._count = count
        self._started = 0
        self._unfinished: set[Future[object]] = set()
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()

    async def run(self, function: Callable[[], object]) -> object:
        """Run a plain function in a thread, with the context variables of here.

        Raises:
            CrowdedError: when too many wait already.
            Exception: whatever the function raises.

        """
        if len(self._unfinished) >= self._count * (1 + WAITING_FOR_EACH):
            raise QueueFullError("too many plain handlers wait for a thread")
        future: Future[object] = Future()
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        self._queue.put((future, partial(contextvars.copy_context().run, function)))
        self._start_another()
        result = await asyncio.wrap_future(future)
        if isinstance(result, _Raised):
            raise result.error
        return result

    def close(self) -> None:
        """Take no more work: threads end after what they do now, what has not begun is dropped."""
        for future in list(self._unfinished):
            future.cancel()
        for _ in range(self._started):
            self._queue.put(None)

    def _start_another(self) -> None:
        if self._started < min(self._count, len(self._unfinished)):
            self._started += 1
            Thread(target=_work, args=(self._queue,), name=f"handler-{self._started}", daemon=True).start()


def _work(queue: SimpleQueue[_Work | None]) -> None:
    while (work := queue.get()) is not None:
        future, function = work
        if future.set_running_or_notify_cancel():
            future.set_result(_outcome(function))


def _outcome(function: Callable[[], object]) -> object:
    try:
        return function()
    except BaseException as error:
        return _Raised(error)
