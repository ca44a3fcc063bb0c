"""Own time of nested stages, on one thread: a stage's clock stands still while a stage inside it runs."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any


@dataclass(slots=True)
class Own:
    """What one stage has taken so far."""

    nanoseconds: int = 0
    calls: int = 0
    steps: int = 0
    """How often its clock was started: once a call, for a coroutine once more after each wait."""
    inside: int = 0
    """How often the clock of a plain function inside it was started; each costs this one a little."""
    inside_waiting: int = 0
    """The same of coroutines, which cost it more."""


class Stopwatch:
    """Takes the time of wrapped functions."""

    def __init__(self) -> None:
        self.stages: dict[str, Own] = {}
        self._running: list[Own] = []
        self._since = 0

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same, and whose time is taken."""
        own = self.stages.setdefault(name, Own())

        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            own.calls += 1
            self._enter(own)
            if len(self._running) > 1:
                self._running[-2].inside += 1
            try:
                return function(*arguments, **named)
            finally:
                self._leave(own)

        return timed

    def wrap_coroutine(
        self, name: str, function: Callable[..., Coroutine[Any, Any, Any]]
    ) -> Callable[..., Any]:
        """Return a coroutine function that does the same, and whose steps are timed."""
        own = self.stages.setdefault(name, Own())

        @functools.wraps(function)
        async def timed(*arguments: Any, **named: Any) -> Any:
            own.calls += 1
            return await _Steps(self, own, function(*arguments, **named))

        return timed

    def reset(self) -> None:
        """Forget what was taken so far, as after a warm-up."""
        for own in self.stages.values():
            own.nanoseconds = own.calls = own.steps = own.inside = own.inside_waiting = 0

    def begin_step(self, own: Own) -> None:
        """Start the clock of a coroutine's stage."""
        if self._running:
            self._running[-1].inside_waiting += 1
        self._enter(own)

    def end_step(self, own: Own) -> None:
        """Stop it."""
        self._leave(own)

    def _enter(self, own: Own) -> None:
        now = perf_counter_ns()
        if self._running:
            self._running[-1].nanoseconds += now - self._since
        self._running.append(own)
        own.steps += 1
        self._since = perf_counter_ns()

    def _leave(self, own: Own) -> None:
        now = perf_counter_ns()
        own.nanoseconds += now - self._since
        self._running.pop()
        self._since = perf_counter_ns()


class _Steps(Awaitable[Any]):
    """Awaits a coroutine; only while it takes a step does its stage's clock run."""

    def __init__(self, stopwatch: Stopwatch, own: Own, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._stopwatch, self._own, self._coroutine = stopwatch, own, coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[], Any] = functools.partial(self._coroutine.send, None)
        while True:
            self._stopwatch.begin_step(self._own)
            try:
                awaited = step()
            except StopIteration as done:
                return done.value
            finally:
                self._stopwatch.end_step(self._own)
            try:
                yield awaited
                step = functools.partial(self._coroutine.send, None)
            except BaseException as error:
                step = functools.partial(self._coroutine.throw, error)


@dataclass(frozen=True, slots=True)
class Cost:
    """What taking the time adds, in nanoseconds for each start of a clock; ``around`` to the stage around."""

    plain: float
    plain_around: float
    waiting: float
    """Of a coroutine's clock."""
    waiting_around: float

    def of(self, own: Own, *, waits: bool) -> float:
        """Return what one stage has been charged for the stopwatch, in nanoseconds."""
        clock = self.waiting if waits else self.plain
        inside = own.inside * self.plain_around + own.inside_waiting * self.waiting_around
        return own.steps * clock + inside


def calibrate(rounds: int = 20_000) -> Cost:
    """Measure what the stopwatch itself costs, with stages that do nothing inside another."""
    stopwatch = Stopwatch()
    plain = stopwatch.wrap("plain", _nothing)
    waiting = stopwatch.wrap_coroutine("waiting", _wait_for_nothing)

    def call(function: Callable[[], object]) -> None:
        for _ in range(rounds):
            function()

    def run(function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        for _ in range(rounds):
            try:
                function().send(None)
            except StopIteration:
                continue

    stopwatch.wrap("around plain", call)(plain)
    stopwatch.wrap("bare plain", call)(_nothing)
    stopwatch.wrap("around waiting", run)(waiting)
    stopwatch.wrap("bare waiting", run)(_wait_for_nothing)
    taken = {name: own.nanoseconds / rounds for name, own in stopwatch.stages.items()}
    return Cost(
        taken["plain"],
        max(0.0, taken["around plain"] - taken["bare plain"]),
        taken["waiting"],
        max(0.0, taken["around waiting"] - taken["bare waiting"]),
    )


def _nothing() -> None:
    return None


async def _wait_for_nothing() -> None:
    return None
