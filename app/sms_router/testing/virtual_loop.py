"""An event loop whose time jumps to the next timer instead of passing."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from selectors import DefaultSelector, SelectorKey
from typing import Any, TypeVar

from sms_router.testing.fake_time import Places, faked_time

_Result = TypeVar("_Result")

_real_monotonic, _real_time, _real_sleep = time.monotonic, time.time, time.sleep

_OWN_THREADS = ("handler-", "asyncio_")
"""How the names of threads begin in which plain functions run."""


class _VirtualSelector(DefaultSelector):
    """Waits for nothing but the team's own threads and connections."""

    def __init__(self) -> None:
        super().__init__()
        self.now = round(_real_monotonic(), 6)
        """Whole microseconds, as datetime has, so that sums with other clocks are exact."""
        self.waits_outside: Callable[[], bool] = lambda: False
        self.on_idle: Callable[[float | None], bool] = lambda _: False
        """Called with the seconds to the next timer, None for none; True where that is not to come."""

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0) or self.on_idle(timeout):
            return ready
        if timeout is None or len(self.get_map()) > 1 or self.waits_outside():
            began = _real_monotonic()
            ready = super().select(timeout)
            timeout = _real_monotonic() - began
        self.now = math.ceil((self.now + timeout) * 1e6) / 1e6
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs one piece of work at a time, until nothing more happens by itself.

    While it runs, the clocks of Python are its time (`faked_time`). Where threads or connections of the team
    are waited for, time passes as everywhere else.
    """

    def __init__(self) -> None:
        self.places: Places = []
        """Where the modules of the team have ``datetime``."""
        self._selector_of_time = _VirtualSelector()
        super().__init__(self._selector_of_time)
        self._selector_of_time.on_idle = self._on_idle
        self._selector_of_time.waits_outside = lambda: (
            self._executing + self.count_busy_threads() > self._sleeping
        )
        self.wall_offset = round(_real_time() - self.time(), 6)
        """Seconds since the epoch at the zero of the loop's time."""
        self.count_busy_threads: Callable[[], int] = lambda: 0
        self._sleeping = self._thread = 0
        self.background: set[asyncio.Task[Any]] = set()
        """Tasks that need not end for the work to be complete."""
        self._executing = 0
        self._settled: asyncio.Future[None] | None = None
        self._main: asyncio.Task[Any] | None = None
        self._until = 0.0

    def time(self) -> float:
        return self._selector_of_time.now

    def wall_time(self) -> float:
        """Return the seconds since the epoch."""
        return round(self.time() + self.wall_offset, 6)

    def jump(self, seconds: float) -> None:
        """Let so many seconds pass; what was due meanwhile happens in the next run."""
        self._selector_of_time.now = round(self.time() + seconds, 6)

    def run(self, work: Coroutine[Any, Any, _Result], *, limit: float) -> _Result:
        """Run a coroutine, then what follows from it, for ``limit`` seconds of the loop's time at most."""

        async def run() -> _Result:
            self._main, self._thread = asyncio.current_task(), threading.get_ident()
            try:
                return await work
            finally:
                self._until = self.time() + limit
                self._settled = self.create_future()
                await self._settled

        self._settled = None
        with faked_time(self.wall_time, self.time, self._sleep, self.places):
            return self.run_until_complete(run())

    def _sleep(self, seconds: float) -> None:
        """Let time pass in a plain function, or in an async one that blocks."""
        thread = threading.current_thread()
        if thread.ident == self._thread:
            self.jump(seconds)
        elif thread.name.startswith(_OWN_THREADS):
            woken = threading.Event()
            self.call_soon_threadsafe(self._fall_asleep, seconds, woken)
            woken.wait()
        else:
            _real_sleep(seconds)

    def _fall_asleep(self, seconds: float, woken: threading.Event) -> None:
        def wake() -> None:
            self._sleeping -= 1
            woken.set()

        self._sleeping += 1
        self.call_later(seconds, wake)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future = super().run_in_executor(executor, func, *args)
        self._executing += 1
        future.add_done_callback(self._on_executed)
        return future

    def _on_executed(self, _: asyncio.Future[Any]) -> None:
        self._executing -= 1

    def _on_idle(self, timeout: float | None) -> bool:
        """End the run where only the background has tasks, or nothing is to happen in its time."""
        settled = self._settled
        if settled is None or settled.done():
            return False
        pending = asyncio.all_tasks(self) - self.background - {self._main}
        is_late = self.time() + (timeout or 0.0) > self._until
        if pending and not is_late and (timeout is not None or self._selector_of_time.waits_outside()):
            return False
        settled.set_result(None)
        return True
