"""The threads in which plain handlers run, with a bounded queue."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from threading import Thread

MAX_WAITING_PER_THREAD = 64
"""Calls that may wait, per thread; a further one fails at once."""


class QueueFullError(RuntimeError):
    """Too many calls wait for a thread."""


@dataclass(frozen=True, slots=True)
class _Raised:
    """The exception of a function as a value: a future cannot raise a StopIteration."""

    error: BaseException


_Job = tuple["Future[object]", Callable[[], object]]


class HandlerThreadPool:
    """Runs plain functions in threads, each of which is started when it is needed first.

    The threads are daemons: a handler that never returns must not keep the worker from stopping.
    """

    def __init__(self, max_threads: int) -> None:
        self._max_threads = max_threads
        self._started = 0
        self._unfinished: set[Future[object]] = set()
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()

    @property
    def unfinished(self) -> int:
        """The number of calls that run or wait."""
        return len(self._unfinished)

    async def run(self, function: Callable[[], object]) -> object:
        """Run a function in a thread, with the caller's context variables, and return its result.

        Raises:
            QueueFullError: when too many calls wait.
            Exception: whatever the function raises.

        """
        if len(self._unfinished) >= self._max_threads * (1 + MAX_WAITING_PER_THREAD):
            raise QueueFullError("too many plain handlers wait for a thread")
        future: Future[object] = Future()
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        self._queue.put((future, partial(contextvars.copy_context().run, function)))
        if self._started < min(self._max_threads, len(self._unfinished)):
            self._started += 1
            name = f"handler-{self._started}"
            Thread(target=_run_jobs, args=(self._queue,), name=name, daemon=True).start()
        result = await asyncio.wrap_future(future)
        if isinstance(result, _Raised):
            raise result.error
        return result

    def close(self) -> None:
        """Stop the threads after their current calls; calls that wait are cancelled."""
        for future in list(self._unfinished):
            future.cancel()
        for _ in range(self._started):
            self._queue.put(None)


def _run_jobs(queue: SimpleQueue[_Job | None]) -> None:
    while (job := queue.get()) is not None:
        future, function = job
        if future.set_running_or_notify_cancel():
            try:
                result = function()
            except BaseException as error:
                result = _Raised(error)
            future.set_result(result)
