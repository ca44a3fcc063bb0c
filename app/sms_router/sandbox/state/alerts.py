"""The debugger's list: what Twilio would tell the account's owner (facts 3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from sms_router.sandbox.clock import Clock
from sms_router.sandbox.identifiers import Identifiers

MOST_ALERTS = 1000

_WARNINGS = frozenset({12200, 14101, 14102, 14103, 14104, 14105, 14106, 14108, 14109, 14110, 14111})


class Level(Enum):
    """How bad it is, in Twilio's words."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class DebuggerAlert:
    """One entry. ``resource_sid`` is the message it is about."""

    sid: str
    code: int
    level: Level
    text: str
    request_url: str
    resource_sid: str
    at: datetime


class Alerts:
    """The newest alerts, in order."""

    def __init__(self, clock: Clock, identifiers: Identifiers) -> None:
        """Start empty."""
        self._clock = clock
        self._identifiers = identifiers
        self._alerts: deque[DebuggerAlert] = deque(maxlen=MOST_ALERTS)

    def add(
        self, code: int, text: str, *, resource_sid: str, request_url: str = "", level: Level | None = None
    ) -> None:
        """Write down that something went wrong; without a level, the code decides whether it is a warning."""
        level = level or (Level.WARNING if code in _WARNINGS else Level.ERROR)
        sid = self._identifiers.sid("NO")
        self._alerts.append(
            DebuggerAlert(sid, code, level, text, request_url, resource_sid, self._clock.now())
        )

    def newest_first(self) -> Iterator[DebuggerAlert]:
        """Iterate as the debugger shows them."""
        return reversed(self._alerts)
