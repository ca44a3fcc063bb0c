"""A log that strangers cannot fill: of each warning only so many are written."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

PERIOD = 60.0
"""Seconds until a warning is written again."""

MOST_KINDS = 100
"""Warnings that are told apart; a library has a handful."""


@dataclass(slots=True)
class _Kind:
    written: float
    held_back: int = 0


class RateLimitFilter(logging.Filter):
    """Lets each warning of a logger through once a minute, with the count of those held back.

    uvicorn warns of every request that is not HTTP, and everybody can send those. Errors all pass.
    """

    def __init__(self, name: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` gives seconds."""
        super().__init__(name)
        self._clock = clock
        self._kinds: dict[str, _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is written."""
        if record.levelno != logging.WARNING:
            return True
        text, now = str(record.msg), self._clock()
        kind = self._kinds.get(text)
        if kind is not None and now - kind.written < PERIOD:
            kind.held_back += 1
            return False
        if kind is not None and kind.held_back:
            record.msg = f"{text} ({kind.held_back} more since the last one)"
        if len(self._kinds) >= MOST_KINDS:
            self._kinds.clear()
        self._kinds[text] = _Kind(now)
        return True
