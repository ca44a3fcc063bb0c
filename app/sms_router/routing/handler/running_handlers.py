"""The handlers that run on the event loop, for the message about a loop that was late."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class RunningHandlers:
    """Counts the async handlers that run, and remembers when each has ended last.

    Args:
        clock: monotonic, in seconds.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._running: Counter[str] = Counter()
        self._ended_at: dict[str, float] = {}

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
