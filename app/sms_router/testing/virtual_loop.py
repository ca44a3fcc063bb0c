"""The time of a test: an event loop whose time jumps to the next timer, and Python's clocks set to it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import math
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from pathlib import Path
from selectors import DefaultSelector, SelectorKey
from types import SimpleNamespace
from typing import Any, TypeVar

_Result = TypeVar("_Result")

_real_monotonic, _real_time, _real_sleep = time.monotonic, time.time, time.sleep

_OWN_THREADS = ("handler-", "asyncio_")
"""How the names of threads begin in which plain functions run."""


Places = list[tuple[dict[str, Any], str]]
"""Names in namespaces."""

_real = SimpleNamespace(**vars(time))


class _Meta(type):
    """Takes what is real for an instance."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.__mro__[1])

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.__mro__[1])


class _FakeDate(datetime.date, metaclass=_Meta):
    """Makes real dates, with the test's ``today``."""

    def __new__(cls, *arguments: Any) -> Any:
        return datetime.date(*arguments)

    @classmethod
    def today(cls) -> Any:
        return datetime.date.fromtimestamp(time.time())


class _FakeDatetime(datetime.datetime, metaclass=_Meta):
    """Makes real datetimes, with the test's ``now``."""

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        return datetime.datetime(*arguments, **named)

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return datetime.datetime.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        return cls.now()


_FAKES = {
    id(datetime.date): _FakeDate,
    id(datetime.datetime): _FakeDatetime,
    id(datetime): SimpleNamespace(**{**vars(datetime), "date": _FakeDate, "datetime": _FakeDatetime}),
}
"""By the id of what a team's module has."""


def places_of_datetime(root: Path) -> Places:
    """Return where the modules below a folder have ``datetime`` or ``date``; libraries there do not count."""
    return [
        (vars(module), name)
        for module in list(sys.modules.values())
        if (file := getattr(module, "__file__", None)) is not None
        and file.startswith(f"{root}/")
        and "site-packages" not in file
        and not module.__name__.startswith("sms_router")
        for name, value in list(vars(module).items())
        if id(value) in _FAKES
    ]


@contextlib.contextmanager
def faked_time(
    wall: Callable[[], float],
    steady: Callable[[], float],
    sleep: Callable[[float], None],
    places: Places,
) -> Iterator[None]:
    """Replace the functions of ``time`` in the whole process, and ``datetime`` in some places."""
    fakes: dict[str, Callable[..., Any]] = {
        "time": wall,
        "monotonic": steady,
        "sleep": sleep,
        "localtime": lambda seconds=None: _real.localtime(wall() if seconds is None else seconds),
        "gmtime": lambda seconds=None: _real.gmtime(wall() if seconds is None else seconds),
        "strftime": lambda form, moment=None: _real.strftime(form, moment or time.localtime()),
    }
    before = {name: vars(time)[name] for name in fakes}
    values = [(namespace, name, namespace[name]) for namespace, name in places]
    vars(time).update(fakes)
    for namespace, name, value in values:
        namespace[name] = _FAKES[id(value)]
    try:
        yield
    finally:
        vars(time).update(before)
        for namespace, name, value in values:
            namespace[name] = value


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
