"""The debugger's alerts: what Twilio reports to the account's owner (facts 3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from sms_router.sandbox.clock import Clock
from sms_router.sandbox.identifiers import Identifiers

MAX_ALERTS = 20_000

_WARNINGS = frozenset({12200, 14101, 14102, 14103, 14104, 14105, 14106, 14108, 14109, 14110, 14111})


class AlertLevel(Enum):
    """Twilio's log levels."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class DebuggerAlert:
    """One alert. ``resource_sid`` is the message that it is about."""

    sid: str
    code: int
    level: AlertLevel
    text: str
    request_url: str
    resource_sid: str
    created: datetime


class Alerts:
    """The newest ``MAX_ALERTS`` alerts."""

    def __init__(self, clock: Clock, identifiers: Identifiers) -> None:
        self._clock = clock
        self._identifiers = identifiers
        self._alerts: deque[DebuggerAlert] = deque(maxlen=MAX_ALERTS)

    def add(
        self,
        code: int,
        text: str,
        *,
        resource_sid: str,
        request_url: str = "",
        level: AlertLevel | None = None,
    ) -> None:
        """Add an alert; without a level, the code decides whether it is a warning."""
        level = level or (AlertLevel.WARNING if code in _WARNINGS else AlertLevel.ERROR)
        sid = self._identifiers.sid("NO")
        self._alerts.append(
            DebuggerAlert(sid, code, level, text, request_url, resource_sid, self._clock.now())
        )

    def newest_first(self) -> Iterator[DebuggerAlert]:
        return reversed(self._alerts)
