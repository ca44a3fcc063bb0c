"""The handlers that run on the event loop, and which of them blocks it."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import coroutine
from typing import Any, TypeVar

log = logging.getLogger("sms_router.handlers")

Result = TypeVar("Result")

BLOCKED_AFTER = 1.0
"""Seconds in which a handler has not given the event loop back, after which the log names it."""


class BlockedLoopError(Exception):
    """A handler has blocked the event loop for longer than ``block_limit``."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A handler between two awaits."""

    name: str
    since: float
    thread: int


class RunningHandlers:
    """Counts the async handlers that run, records when each has ended last, and finds those that block.

    Args:
        clock: monotonic, in seconds.
        block_limit: seconds between two awaits of a handler, beyond which it has failed; None for no limit.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, block_limit: float | None = None) -> None:
        self._clock = clock
        self._block_limit = block_limit
        self._running: Counter[str] = Counter()
        self._ended_at: dict[str, float] = {}
        self._step: _Step | None = None
        self._stopped = threading.Event()

    @contextmanager
    def run(self, name: str) -> Iterator[None]:
        """Count a handler while the block runs."""
        self._running[name] += 1
        try:
            yield
        finally:
            self._running[name] -= 1
            self._ended_at[name] = self._clock()

    def since(self, moment: float) -> list[str]:
        """Return the names of the handlers that run, or have ended since a moment of the clock."""
        ended = {name for name, at in self._ended_at.items() if at >= moment}
        return sorted(ended | {name for name, count in self._running.items() if count})

    @coroutine
    def measured(self, name: str, awaitable: Awaitable[Result]) -> Generator[Any, Any, Result]:
        """Await something in steps that are measured.

        Raises:
            BlockedLoopError: when one step has taken longer than the limit.

        """
        steps = awaitable.__await__()
        error: BaseException | None = None
        while True:
            outer, self._step = self._step, _Step(name, self._clock(), threading.get_ident())
            try:
                future = steps.send(None) if error is None else steps.throw(error)
            except StopIteration as end:
                result: Result = end.value
                self._end_step(outer)
                return result
            except BaseException:
                with suppress(BlockedLoopError):  # the handler's own error comes first
                    self._end_step(outer)
                raise
            try:
                self._end_step(outer)
                error = None
                yield future
            except BaseException as raised:
                error = raised

    def _end_step(self, outer: _Step | None) -> None:
        step, self._step = self._step, outer
        assert step is not None, "a step has begun"
        seconds = self._clock() - step.since
        if self._block_limit is not None and seconds > self._block_limit:
            raise BlockedLoopError(
                f"{step.name} blocked the event loop for {seconds:.1f} s (block_limit is"
                f" {self._block_limit:g} s); make it a plain function, which runs in a thread"
            )

    def start(self) -> None:
        """Name blocking handlers in the log from now on, from a thread."""
        threading.Thread(target=self._watch, name="block-watchdog", daemon=True).start()

    def close(self) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        reported = None
        while not self._stopped.wait(BLOCKED_AFTER / 2):
            step = self._step
            if step is not None and step is not reported and self._clock() - step.since > BLOCKED_AFTER:
                log.error("%s", describe_block(step.name, step.thread))
                reported = step


def describe_block(name: str, thread: int) -> str:
    """Return which handler blocks, and the line at which it stands now."""
    frame = sys._current_frames().get(thread)
    place = traceback.extract_stack(frame)[-1] if frame is not None else None
    where = f" at {place.filename}:{place.lineno}" if place is not None else ""
    return (
        f"the async handler {name} blocks the event loop{where}, and every message waits; make it a plain"
        " function, which runs in a thread"
    )
