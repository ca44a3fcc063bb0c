"""Twilio's cookies: per pair of numbers, for four hours after the last text (facts 1.5)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import CookieJar

from sms_router.sandbox.clock import Clock

LIFETIME = timedelta(hours=4)
MAX_JARS = 10_000


@dataclass(slots=True)
class _Entry:
    jar: CookieJar
    last_used: datetime


class CookieJars:
    """The cookie jars of all pairs of numbers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()

    def jar(self, number: str, person: str) -> CookieJar:
        """Return the jar of a pair; a new one when the last one has expired."""
        pair, now = (number, person), self._clock.now()
        entry = self._entries.get(pair)
        if entry is None or now - entry.last_used > LIFETIME:
            entry = _Entry(CookieJar(unsafe=True), now)  # "unsafe": hosts that are IP addresses too
            self._entries[pair] = entry
        entry.last_used = now
        self._entries.move_to_end(pair)
        if len(self._entries) > MAX_JARS:
            self._entries.popitem(last=False)
        return entry.jar
