"""The times of nested stages on one thread: the clock of a stage stops while a nested stage runs."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any


@dataclass(slots=True)
class StageTime:
    """The time of one stage so far."""

    nanoseconds: int = 0
    calls: int = 0
    steps: int = 0
    """Starts of its clock: one per call, for a coroutine one more after each wait."""
    nested_functions: int = 0
    """Starts of the clocks of plain functions inside it; each adds a little to its time."""
    nested_coroutines: int = 0
    """The same for coroutines, which add more."""


class Stopwatch:
    """Times wrapped functions."""

    def __init__(self) -> None:
        self.stages: dict[str, StageTime] = {}
        self._running: list[StageTime] = []
        self._since = 0

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time measured."""
        times = self.stages.setdefault(name, StageTime())

        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            times.calls += 1
            self._enter(times)
            if len(self._running) > 1:
                self._running[-2].nested_functions += 1
            try:
                return function(*arguments, **named)
            finally:
                self._leave(times)

        return timed

    def wrap_coroutine(
        self, name: str, function: Callable[..., Coroutine[Any, Any, Any]]
    ) -> Callable[..., Any]:
        """Return the coroutine function with the time of its steps measured."""
        times = self.stages.setdefault(name, StageTime())

        @functools.wraps(function)
        async def timed(*arguments: Any, **named: Any) -> Any:
            times.calls += 1
            return await _Steps(self, times, function(*arguments, **named))

        return timed

    def reset(self) -> None:
        """Reset all times, after a warm-up."""
        for times in self.stages.values():
            times.nanoseconds = times.calls = times.steps = 0
            times.nested_functions = times.nested_coroutines = 0

    def begin_step(self, times: StageTime) -> None:
        """Start the clock for a step of a coroutine."""
        if self._running:
            self._running[-1].nested_coroutines += 1
        self._enter(times)

    def end_step(self, times: StageTime) -> None:
        """Stop the clock."""
        self._leave(times)

    def _enter(self, times: StageTime) -> None:
        now = perf_counter_ns()
        if self._running:
            self._running[-1].nanoseconds += now - self._since
        self._running.append(times)
        times.steps += 1
        self._since = perf_counter_ns()

    def _leave(self, times: StageTime) -> None:
        now = perf_counter_ns()
        times.nanoseconds += now - self._since
        self._running.pop()
        self._since = perf_counter_ns()


class _Steps(Awaitable[Any]):
    """Awaits a coroutine; the clock runs only during its steps."""

    def __init__(self, stopwatch: Stopwatch, times: StageTime, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._stopwatch, self._times, self._coroutine = stopwatch, times, coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[], Any] = functools.partial(self._coroutine.send, None)
        while True:
            self._stopwatch.begin_step(self._times)
            try:
                awaited = step()
            except StopIteration as done:
                return done.value
            finally:
                self._stopwatch.end_step(self._times)
            try:
                yield awaited
                step = functools.partial(self._coroutine.send, None)
            except BaseException as error:
                step = functools.partial(self._coroutine.throw, error)


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of the stopwatch in nanoseconds per start of a clock; ``outer``: for the enclosing stage."""

    function: float
    function_outer: float
    coroutine: float
    coroutine_outer: float

    def of(self, times: StageTime, *, is_coroutine: bool) -> float:
        """Return the stopwatch's share of the time of one stage, in nanoseconds."""
        clock = self.coroutine if is_coroutine else self.function
        inside = times.nested_functions * self.function_outer + times.nested_coroutines * self.coroutine_outer
        return times.steps * clock + inside


def calibrate(rounds: int = 20_000) -> Cost:
    """Measure the cost of the stopwatch with empty nested stages."""
    stopwatch = Stopwatch()
    plain = stopwatch.wrap("plain", _do_nothing)
    waiting = stopwatch.wrap_coroutine("waiting", _do_nothing_async)

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
    stopwatch.wrap("bare plain", call)(_do_nothing)
    stopwatch.wrap("around waiting", run)(waiting)
    stopwatch.wrap("bare waiting", run)(_do_nothing_async)
    taken = {name: times.nanoseconds / rounds for name, times in stopwatch.stages.items()}
    return Cost(
        taken["plain"],
        max(0.0, taken["around plain"] - taken["bare plain"]),
        taken["waiting"],
        max(0.0, taken["around waiting"] - taken["bare waiting"]),
    )


def _do_nothing() -> None:
    return None


async def _do_nothing_async() -> None:
    return None
