"""What one worker holds of one Service, and how it came by it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from enum import Enum

from sms_router.membership.snapshot import Snapshot
from sms_router.membership.source import ServiceSource
from sms_router.senders.pool import Pool

log = logging.getLogger("sms_router.membership")

FIRST_RETRY = 1.0
LAST_RETRY = 300.0
"""Seconds between readings while Twilio fails, doubled from the first to the last."""

CLOCKS_DIFFER = 10.0
"""Seconds: a reading that seems to come from later than that was stamped by a clock that was wrong."""


class Origin(Enum):
    """Where the senders in memory come from."""

    TWILIO = "twilio"
    STORED = "stored"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What probes and metrics tell about one Service."""

    service_sid: str
    origin: Origin
    version: int | None
    size: int
    """How many senders; an empty Service is an answer, not an error."""
    age: float | None
    """Seconds since Twilio last confirmed it; None while nothing is known."""
    stale: bool
    """Older than the hard age; served all the same."""
    failure: str | None
    """Why the last reading failed, until one succeeds."""
    refreshes: int
    failures: int
    stale_serves: int = 0
    """How often a pool older than the hard age was asked for."""


@dataclass(slots=True, eq=False)
class ServiceState:
    """One Service in this worker's memory; only the event loop touches it."""

    source: ServiceSource
    snapshot: Snapshot | None = None
    origin: Origin = Origin.NOTHING
    failure: str | None = None
    refreshes: int = 0
    failures: int = 0
    in_a_row: int = 0
    """Failures since the last success."""
    stale_serves: int = 0
    changes: int = 0
    """How many changes had been announced when the snapshot was read."""
    announced: int = 0
    """How many changes are known to have been announced."""
    wakeup: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there is a reason to read before it is due."""
    unreadable: int | None = None
    """The stored version that this program cannot read."""
    reading: asyncio.Future[tuple[Snapshot, Pool | None]] | None = None
    """The thread that reads Twilio, until it returns."""
    tried: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def version(self) -> int:
        """The version in memory; zero while nothing is known."""
        return self.snapshot.version if self.snapshot else 0

    @property
    def rank(self) -> tuple[int, int]:
        """Greater for what was read later: after a change first, then by version."""
        return self.changes, self.version

    @property
    def stale_after_change(self) -> bool:
        """True when the Service was changed after it was read."""
        return self.announced > self.changes

    def note_change(self, announced: int) -> None:
        """Take note of how many changes were announced; a new one calls for a reading."""
        is_new, self.announced = announced > self.announced, announced
        if is_new and self.stale_after_change:
            self.wakeup.set()

    def stale(self, now: float, stale_after: float) -> bool:
        """Tell whether the hard age is passed: never before two readings that were due are missing."""
        if self.snapshot is None:
            return True
        return now - self.snapshot.read_at > max(stale_after, 2 * self.source.refresh_after)

    def due_in(self, now: float) -> float:
        """Seconds until the next reading is due."""
        if self.snapshot is None or self.stale_after_change:
            return 0.0
        if self.snapshot.read_at > now + CLOCKS_DIFFER:
            return 0.0
        remaining = self.snapshot.read_at + self.source.refresh_after - now
        return min(max(remaining, 0.0), self.source.refresh_after)

    def confirm(self, read_at: float, now: float) -> None:
        """Take note that Twilio has confirmed the snapshot, unless it did so later as well."""
        assert self.snapshot is not None, "something was confirmed"
        moments = (self.snapshot.read_at, read_at)
        latest = max((each for each in moments if each <= now + CLOCKS_DIFFER), default=read_at)
        self.snapshot = self.snapshot.confirmed(latest)

    def retry_in(self, in_a_row: int) -> float:
        """Seconds until a reading is repeated that has failed so many times in a row."""
        return min(FIRST_RETRY * 2.0 ** min(max(self.in_a_row, in_a_row) - 1, 30), LAST_RETRY)

    def succeeded(self) -> None:
        """Count a reading and forget the failures before it."""
        if self.failure is not None:
            log.info("the senders of %s can be read again", self.source.service_sid)
        self.failure, self.in_a_row = None, 0
        self.refreshes += 1
        self.tried.set()

    def failed(self, sentence: str) -> None:
        """Count a failure, and log it unless it is the same as the one before."""
        if sentence != self.failure:
            known = "the last good ones stay" if self.snapshot else "none are known yet"
            log.warning("%s; %s", sentence, known)
        self.failure = sentence
        self.in_a_row += 1
        self.failures += 1
        self.tried.set()

    def status(self, now: float, stale_after: float) -> ServiceStatus:
        """Return what can be told at this moment."""
        snapshot = self.snapshot
        age = max(0.0, now - snapshot.read_at) if snapshot else None
        return ServiceStatus(
            service_sid=self.source.service_sid,
            origin=self.origin,
            version=snapshot.version if snapshot else None,
            size=len(snapshot.senders) if snapshot else 0,
            age=age,
            stale=self.stale(now, stale_after),
            failure=self.failure,
            refreshes=self.refreshes,
            failures=self.failures,
            stale_serves=self.stale_serves,
        )
