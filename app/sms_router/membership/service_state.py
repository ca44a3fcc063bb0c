"""The state of one Service in one worker: its snapshot, ages, retries and status."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from enum import Enum

from sms_router.membership.snapshot import Snapshot
from sms_router.membership.source import PoolReadError, ServiceSource
from sms_router.senders.pool import Pool
from sms_router.twilio.rest import ApiFailure, FailureKind

log = logging.getLogger("sms_router.membership")

MIN_RETRY_DELAY = 1.0
MAX_RETRY_DELAY = 300.0
"""Seconds between readings while Twilio fails; the delay doubles from the first to the last."""

MAX_CLOCK_DIFFERENCE = 10.0
"""Seconds; a reading from further in the future was stamped by a clock that was wrong."""


class SnapshotOrigin(Enum):
    """Where a snapshot in memory comes from."""

    TWILIO = "twilio"
    STORED = "stored"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The status of one Service for probes and metrics."""

    service_sid: str
    origin: SnapshotOrigin
    version: int | None
    size: int
    """Number of senders; an empty Sender Pool is valid."""
    age: float | None
    """Seconds since Twilio last confirmed the snapshot; None without one."""
    stale: bool
    """True when it is older than the hard age; it is still used."""
    failure: str | None
    """Why the last reading failed, until one succeeds."""
    refreshes: int
    failures: int
    stale_uses: int = 0
    """How often a stale pool was used."""


@dataclass(slots=True, eq=False)
class ServiceState:
    """One Service in this worker's memory; only the event loop uses it."""

    source: ServiceSource
    snapshot: Snapshot | None = None
    origin: SnapshotOrigin = SnapshotOrigin.NOTHING
    failure: str | None = None
    refreshes: int = 0
    failures: int = 0
    consecutive_failures: int = 0
    stale_uses: int = 0
    changes: int = 0
    """Changes that were announced before the snapshot was read."""
    announced_changes: int = 0
    """Changes that are known to have been announced."""
    wakeup: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to read before it is due."""
    unreadable_version: int | None = None
    """The stored version that this release cannot decode."""
    reading: asyncio.Future[tuple[Snapshot, Pool | None]] | None = None
    """The thread that reads Twilio, until it returns."""
    was_tried: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def version(self) -> int:
        return self.snapshot.version if self.snapshot else 0

    @property
    def rank(self) -> tuple[int, int]:
        """Greater for a later reading: after more changes first, then by version."""
        return self.changes, self.version

    @property
    def is_outdated(self) -> bool:
        """True when the Service was changed after it was read."""
        return self.announced_changes > self.changes

    def note_changes(self, announced: int) -> None:
        """Set the number of announced changes; a new one makes a reading due."""
        is_new, self.announced_changes = announced > self.announced_changes, announced
        if is_new and self.is_outdated:
            self.wakeup.set()

    def is_stale(self, now: float, stale_after: float) -> bool:
        """Return whether the hard age has passed, and at least two readings that were due are missing."""
        if self.snapshot is None:
            return True
        return now - self.snapshot.read_at > max(stale_after, 2 * self.source.refresh_after)

    def due_in(self, now: float) -> float:
        if self.snapshot is None or self.is_outdated:
            return 0.0
        if self.snapshot.read_at > now + MAX_CLOCK_DIFFERENCE:
            return 0.0
        remaining = self.snapshot.read_at + self.source.refresh_after - now
        return min(max(remaining, 0.0), self.source.refresh_after)

    def confirm(self, read_at: float, now: float) -> None:
        """Apply that another worker read the same content at ``read_at``."""
        assert self.snapshot is not None
        times = (self.snapshot.read_at, read_at)
        latest = max((time for time in times if time <= now + MAX_CLOCK_DIFFERENCE), default=read_at)
        self.snapshot = self.snapshot.confirmed(latest)

    async def read(self, now: float, max_seconds: float) -> tuple[Snapshot, Pool | None]:
        """Read the Service from Twilio in a thread; the pool is None when its content has not changed.

        A thread cannot be stopped: a reading that exceeds ``max_seconds`` (seconds) goes on, and no other one
        starts beside it.

        Raises:
            PoolReadError: when Twilio failed or was too slow.

        """
        if self.reading is not None and not self.reading.done():
            raise self._too_slow("the reading before has not returned yet")
        self.reading = asyncio.ensure_future(asyncio.to_thread(_read, self.source, now, self.snapshot))
        self.reading.add_done_callback(_retrieve_exception)
        try:
            async with asyncio.timeout(max_seconds):
                return await asyncio.shield(self.reading)
        except TimeoutError as error:
            raise self._too_slow(f"Twilio's API took longer than {max_seconds:g} s") from error

    def _too_slow(self, sentence: str) -> PoolReadError:
        return PoolReadError(
            self.source.service_sid, ApiFailure(FailureKind.UNAVAILABLE, None, None, sentence)
        )

    def retry_delay(self, shared_failures: int) -> float:
        """Return the seconds until the next reading after a failure.

        Args:
            shared_failures: failures in a row of all workers.

        """
        failures = max(self.consecutive_failures, shared_failures)
        return min(MIN_RETRY_DELAY * 2.0 ** min(failures - 1, 30), MAX_RETRY_DELAY)

    def record_success(self) -> None:
        if self.failure is not None:
            log.info("the senders of %s can be read again", self.source.service_sid)
        self.failure, self.consecutive_failures = None, 0
        self.refreshes += 1
        self.was_tried.set()

    def record_failure(self, sentence: str) -> None:
        """Count a failure; it is logged unless it equals the one before."""
        if sentence != self.failure:
            consequence = "the last snapshot stays in use" if self.snapshot else "there is no snapshot yet"
            log.warning("%s; %s", sentence, consequence)
        self.failure = sentence
        self.consecutive_failures += 1
        self.failures += 1
        self.was_tried.set()

    def status(self, now: float, stale_after: float) -> ServiceStatus:
        snapshot = self.snapshot
        age = max(0.0, now - snapshot.read_at) if snapshot else None
        return ServiceStatus(
            service_sid=self.source.service_sid,
            origin=self.origin,
            version=snapshot.version if snapshot else None,
            size=len(snapshot.senders) if snapshot else 0,
            age=age,
            stale=self.is_stale(now, stale_after),
            failure=self.failure,
            refreshes=self.refreshes,
            failures=self.failures,
            stale_uses=self.stale_uses,
        )


def _read(source: ServiceSource, now: float, known: Snapshot | None) -> tuple[Snapshot, Pool | None]:
    snapshot = source.read(now)
    if known is not None and snapshot.same_content(known):
        return replace(known, read_at=now), None
    snapshot = replace(snapshot, version=max(snapshot.version, known.version + 1 if known else 1))
    return snapshot, snapshot.pool()


def _retrieve_exception(reading: asyncio.Future[tuple[Snapshot, Pool | None]]) -> None:
    # After a timeout nobody awaits the reading, and asyncio logs an exception that is never retrieved.
    if not reading.cancelled():
        reading.exception()
