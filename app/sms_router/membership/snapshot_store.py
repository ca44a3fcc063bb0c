"""The last good snapshots in Redis, without an expiry, so that they outlive Twilio's outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from enum import Enum

from redis import Redis as SynchronousRedis
from redis.asyncio import Redis

from sms_router.membership.snapshot import Snapshot, SnapshotError
from sms_router.store.keys import POOLS_CHANNEL, PoolKeys
from sms_router.store.redis_py import CLIENT_ERRORS, run_script, subscribed
from sms_router.store.scripts.senders import store_snapshot

LONGEST_TURN = 360.0
"""Seconds; longer than a reading may take, and than the longest pause after one that failed."""

_FAILURES_LAST = 900.0
"""Seconds after the last failure; longer than the longest pause between two readings."""


class SharedStateError(RuntimeError):
    """Redis did not serve; the text is one sentence for the log."""


class StoreResult(Enum):
    """What became of a snapshot that was to be stored."""

    STORED = "stored"
    REFUSED = "refused"
    """A snapshot of another version is there."""
    OVERTAKEN = "overtaken"
    """The Service was changed after the reading began: it may show what was before."""


@dataclass(frozen=True, slots=True)
class SnapshotVersion:
    """What the stored snapshot is, without reading it."""

    version: int
    read_at: float
    changes: int = 0
    """How many changes had been announced when it was read."""

    @property
    def rank(self) -> tuple[int, int]:
        """Greater for what was read later: after a change first, then by version."""
        return self.changes, self.version


@dataclass(frozen=True, slots=True)
class StoredState:
    """What Redis says of one Service at one moment."""

    mark: SnapshotVersion | None
    """None when no snapshot is stored."""
    changes: int
    """How many changes have been announced."""


class SnapshotStore:
    """Snapshots that all workers and replicas share.

    A small mark stands beside each snapshot, so that a worker sees at a glance that a newer one
    is there. Storing one is published; whose turn it is to read Twilio is settled by a key that
    expires.
    """

    def __init__(self, redis: Redis, time_limit: float = 1.0) -> None:
        """``time_limit`` is in seconds, for each command."""
        self._redis = redis
        self._time_limit = time_limit

    async def standings(self, service_sids: Sequence[str]) -> list[StoredState]:
        """Return what is stored of some Services, in one round trip."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for keys in map(PoolKeys.of, service_sids):
                pipeline.get(keys.version)
                pipeline.get(keys.change_count)
                pipeline.exists(keys.snapshot)
            async with self._served():
                found = await pipeline.execute()
        return [
            StoredState(_mark(mark) if there else None, int(changes or 0))
            for mark, changes, there in zip(*(iter(found),) * 3, strict=True)
        ]

    async def fetch(self, service_sid: str) -> bytes | None:
        """Return the stored snapshot as it was written, or None."""
        async with self._served():
            stored = await self._redis.get(PoolKeys.of(service_sid).snapshot)
        return stored.encode() if isinstance(stored, str) else stored

    async def publish(self, snapshot: Snapshot, written: bytes, changes: int = 0) -> StoreResult:
        """Store a snapshot, as ``to_bytes`` wrote it, unless a newer one or a later change is there.

        ``changes`` is how many changes had been announced before it was read.
        """
        return await self._store(snapshot, written, changes)

    async def confirm(self, snapshot: Snapshot, changes: int = 0) -> StoreResult:
        """Say that Twilio still answers what is stored; refused where something else is."""
        return await self._store(snapshot, b"", changes)

    async def announce(self, service_sid: str, seconds: float) -> None:
        """Tell every worker that the Service was changed at Twilio, so that what is stored is out of date.

        The caller reads it next, so nobody else needs to for that many seconds.
        """
        keys = PoolKeys.of(service_sid)
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.set(keys.refresh_lock, 1, px=_ms(seconds))
            pipeline.incr(keys.change_count)
            async with self._served():
                await pipeline.execute()
                await self._redis.publish(POOLS_CHANNEL, service_sid)  # no Cluster takes it into a pipeline

    async def listen(self, heard: Callable[[], Awaitable[None]]) -> None:
        """Call ``heard`` once listening has begun, and whenever something is published; never returns."""
        try:
            async with subscribed(self._redis, POOLS_CHANNEL) as channel:
                await heard()
                async for _ in channel.listen():
                    await heard()
        except (*CLIENT_ERRORS, OSError) as error:
            raise SharedStateError(f"Redis did not serve ({type(error).__name__})") from error

    async def acquire_refresh_lock(self, service_sid: str, seconds: float) -> bool:
        """Tell whether this worker may read Twilio now; nobody else may for so many seconds.

        A turn that seems to last longer than any does so since Redis' clock was set back: it is cut short.
        """
        turn = PoolKeys.of(service_sid).refresh_lock
        async with self._served():
            if await self._redis.set(turn, 1, nx=True, px=_ms(seconds)):
                return True
            if await self._redis.pttl(turn) > _ms(LONGEST_TURN):
                await self._redis.pexpire(turn, _ms(seconds))
            return False

    async def extend_refresh_lock(self, service_sid: str, seconds: float) -> None:
        """Let the turn pass to others after so many seconds from now."""
        async with self._served():
            await self._redis.pexpire(PoolKeys.of(service_sid).refresh_lock, _ms(seconds))

    async def count_failure(self, service_sid: str) -> int:
        """Return how many readings in a row have failed, this one and other workers' included."""
        key = PoolKeys.of(service_sid).failure_count
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.incr(key)
            pipeline.pexpire(key, _ms(_FAILURES_LAST))
            async with self._served():
                count, _ = await pipeline.execute()
        return int(count)

    async def forget_failures(self, service_sid: str) -> None:
        """Begin to count anew: a reading has succeeded."""
        async with self._served():
            await self._redis.delete(PoolKeys.of(service_sid).failure_count)

    async def _store(self, snapshot: Snapshot, written: bytes, changes: int) -> StoreResult:
        call = store_snapshot(
            service_sid=snapshot.service_sid,
            version=snapshot.version,
            read_at=snapshot.read_at,
            changes=changes,
            document=written,
        )
        async with self._served():
            result = await run_script(self._redis, call)
        return StoreResult(result.decode() if isinstance(result, bytes) else result)

    def _served(self) -> AbstractAsyncContextManager[None]:
        return redis_errors(self._time_limit)


@asynccontextmanager
async def redis_errors(time_limit: float) -> AsyncIterator[None]:
    """Bound a command to Redis, in seconds.

    Raises:
        SharedError: when it fails or takes longer.

    """
    try:
        async with asyncio.timeout(time_limit):
            yield
    except TimeoutError as error:
        raise SharedStateError("Redis did not answer in time") from error
    except (*CLIENT_ERRORS, OSError) as error:
        raise SharedStateError(f"Redis did not serve ({type(error).__name__})") from error


def _mark(stored: bytes | str | None) -> SnapshotVersion | None:
    try:
        version, read_at, *changes = (stored or b"").split()
        return SnapshotVersion(int(version), float(read_at), *map(int, changes[:1]))
    except ValueError:
        return None


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def stored_snapshot(redis: SynchronousRedis, service_sid: str) -> Snapshot | None:
    """Return what is stored about a Service, None when nothing is, or nothing that can be read.

    Its age is that of the last reading that confirmed it. For commands at a terminal; workers use
    `SharedSnapshots`.
    """
    keys = PoolKeys.of(service_sid)
    stored, marked = redis.mget(keys.snapshot, keys.version)
    mark = _mark(marked)
    try:
        snapshot = Snapshot.from_bytes(stored) if isinstance(stored, bytes) else None
    except SnapshotError:
        return None
    if snapshot is None or mark is None or mark.version != snapshot.version:
        return snapshot
    return snapshot.confirmed(mark.read_at)
