"""One reading of Twilio in a thread, bounded in time, indexed before the event loop sees it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sms_router.membership.service_state import ServiceState
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.source import PoolReadError, ServiceSource
from sms_router.senders.pool import Pool
from sms_router.twilio.rest import ApiFailure, FailureKind


async def read_with_timeout(
    held: ServiceState, now: float, time_limit: float
) -> tuple[Snapshot, Pool | None]:
    """Read a Service; the pool is None when nothing has changed since the one that is held.

    A thread cannot be stopped, so a reading that outlives ``time_limit`` (seconds) is left
    alone, and none is begun beside it.

    Raises:
        MembershipError: when Twilio failed or was too slow.

    """
    if held.reading is not None and not held.reading.done():
        raise _too_slow(held, "the reading before has not returned yet")
    reading = asyncio.ensure_future(asyncio.to_thread(_read, held.source, now, held.snapshot))
    reading.add_done_callback(_forget)
    held.reading = reading
    try:
        async with asyncio.timeout(time_limit):
            return await asyncio.shield(reading)
    except TimeoutError as error:
        raise _too_slow(held, f"Twilio's API took longer than {time_limit:g} s") from error


def decode_snapshot(stored: bytes) -> tuple[Snapshot, Pool]:
    """Read and index stored bytes; blocks. Raises `SnapshotError`."""
    snapshot = Snapshot.from_bytes(stored)
    return snapshot, snapshot.pool()


def _read(source: ServiceSource, now: float, known: Snapshot | None) -> tuple[Snapshot, Pool | None]:
    snapshot = source.read(now)
    if known is not None and snapshot.same_content(known):
        return replace(known, read_at=now), None
    snapshot = replace(snapshot, version=max(snapshot.version, known.version + 1 if known else 1))
    return snapshot, snapshot.pool()


def _forget(reading: asyncio.Future[tuple[Snapshot, Pool | None]]) -> None:
    """Look at the outcome of a reading for which nobody may wait any more."""
    if not reading.cancelled():
        reading.exception()


def _too_slow(held: ServiceState, sentence: str) -> PoolReadError:
    failure = ApiFailure(FailureKind.UNAVAILABLE, None, None, sentence)
    return PoolReadError(held.source.service_sid, failure)
