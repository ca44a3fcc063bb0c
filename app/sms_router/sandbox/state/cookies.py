"""Cookies as Twilio keeps them: per pair of numbers, for four hours after the last text (facts 1.5)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import CookieJar

from sms_router.sandbox.clock import Clock

LIFE = timedelta(hours=4)
MOST_JARS = 10_000


@dataclass(slots=True)
class _Shelf:
    jar: CookieJar
    used: datetime


class Cookies:
    """The jars of all pairs that are talking."""

    def __init__(self, clock: Clock) -> None:
        """Start without any."""
        self._clock = clock
        self._shelves: OrderedDict[tuple[str, str], _Shelf] = OrderedDict()

    def jar(self, number: str, person: str) -> CookieJar:
        """Return the jar of a conversation, a new one when the last is forgotten."""
        pair, now = (number, person), self._clock.now()
        shelf = self._shelves.get(pair)
        if shelf is None or now - shelf.used > LIFE:
            shelf = _Shelf(CookieJar(unsafe=True), now)  # "unsafe": hosts that are IP addresses too
            self._shelves[pair] = shelf
        shelf.used = now
        self._shelves.move_to_end(pair)
        if len(self._shelves) > MOST_JARS:
            self._shelves.popitem(last=False)
        return shelf.jar
