"""The last good snapshots in Redis, without an expiry: they stay available while Twilio is down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum

from redis import Redis as SynchronousRedis
from redis.asyncio import Redis

from sms_router.membership.snapshot import Snapshot, SnapshotError
from sms_router.store.keys import POOLS_CHANNEL, PoolKeys
from sms_router.store.redis_py import CLIENT_ERRORS, run_script, subscribed
from sms_router.store.scripts import store_snapshot

COMMAND_TIMEOUT = 1.0
"""Seconds for each command, or each pipeline of commands."""

MAX_LOCK = 360.0
"""Seconds; longer than a reading, and than the longest delay after a failed one."""

FAILURES_TTL = 900.0
"""Seconds after the last failure; longer than the longest delay between two readings."""


class SharedStateError(RuntimeError):
    """Redis is unavailable; the text is one sentence for the log."""


class StoreResult(Enum):
    """The result of storing a snapshot."""

    STORED = "stored"
    REFUSED = "refused"
    """A snapshot of another version is stored."""
    OVERTAKEN = "overtaken"
    """The Service was changed after the reading began, so that the snapshot may be outdated."""


@dataclass(frozen=True, slots=True)
class SnapshotVersion:
    """The version and age of a stored snapshot, without its content."""

    version: int
    read_at: float
    changes: int = 0
    """Changes that were announced before it was read."""

    @property
    def rank(self) -> tuple[int, int]:
        """Greater for a later reading: after more changes first, then by version."""
        return self.changes, self.version


@dataclass(frozen=True, slots=True)
class StoredState:
    """What is stored of one Service."""

    version: SnapshotVersion | None
    """None when no snapshot is stored."""
    changes: int
    """Changes that have been announced."""


@dataclass(frozen=True, slots=True)
class SnapshotStore:
    """Snapshots that all workers and replicas share; every method raises `SharedStateError`.

    Each snapshot has its version in a small key, which workers poll. A stored snapshot is announced on a
    channel. A lock with an expiry decides which worker reads Twilio.
    """

    redis: Redis

    async def load_states(self, service_sids: Sequence[str]) -> list[StoredState]:
        """Return the versions and change counts of Services, in one round trip."""
        async with self.redis.pipeline(transaction=False) as pipeline:
            for keys in map(PoolKeys.of, service_sids):
                pipeline.get(keys.version)
                pipeline.get(keys.change_count)
                pipeline.exists(keys.snapshot)
            async with redis_errors():
                values = await pipeline.execute()
        return [
            StoredState(_parse_version(version) if exists else None, int(changes or 0))
            for version, changes, exists in zip(*(iter(values),) * 3, strict=True)
        ]

    async def fetch(self, service_sid: str) -> bytes | None:
        async with redis_errors():
            stored = await self.redis.get(PoolKeys.of(service_sid).snapshot)
        return stored.encode() if isinstance(stored, str) else stored

    async def publish(self, snapshot: Snapshot, encoded: bytes, changes: int = 0) -> StoreResult:
        """Store and announce a snapshot, unless a newer one is stored or a later change was announced.

        Args:
            snapshot: as read.
            encoded: its `Snapshot.to_bytes`; empty where the reading has found the stored content again.
            changes: announced before it was read.

        """
        call = store_snapshot(
            service_sid=snapshot.service_sid,
            version=snapshot.version,
            read_at=snapshot.read_at,
            changes=changes,
            document=encoded,
        )
        async with redis_errors():
            result = await run_script(self.redis, call)
        return StoreResult(result.decode() if isinstance(result, bytes) else result)

    async def announce(self, service_sid: str, seconds: float) -> None:
        """Announce that a Service was changed at Twilio, so that its snapshot is outdated.

        The caller reads the Service next: it gets the lock for ``seconds``.
        """
        keys = PoolKeys.of(service_sid)
        async with self.redis.pipeline(transaction=True) as pipeline:
            pipeline.set(keys.refresh_lock, 1, px=_ms(seconds))
            pipeline.incr(keys.change_count)
            async with redis_errors():
                await pipeline.execute()
                await self.redis.publish(POOLS_CHANNEL, service_sid)  # not in a pipeline, for Redis Cluster

    async def listen(self, on_change: Callable[[], Awaitable[None]]) -> None:
        """Subscribe; call ``on_change`` once subscribed and after each announcement. Does not return."""
        async with redis_errors(None), subscribed(self.redis, POOLS_CHANNEL) as channel:
            await on_change()
            async for _ in channel.listen():
                await on_change()

    async def acquire_refresh_lock(self, service_sid: str, seconds: float) -> bool:
        """Return whether this worker may read Twilio now; then no other worker may for ``seconds``."""
        lock = PoolKeys.of(service_sid).refresh_lock
        async with redis_errors():
            if await self.redis.set(lock, 1, nx=True, px=_ms(seconds)):
                return True
            # A longer lock was set before the clock of Redis was set back.
            if await self.redis.pttl(lock) > _ms(MAX_LOCK):
                await self.redis.pexpire(lock, _ms(seconds))
            return False

    async def extend_refresh_lock(self, service_sid: str, seconds: float) -> None:
        async with redis_errors():
            await self.redis.pexpire(PoolKeys.of(service_sid).refresh_lock, _ms(seconds))

    async def count_failure(self, service_sid: str) -> int:
        """Count a failed reading; return the number in a row, of all workers."""
        key = PoolKeys.of(service_sid).failure_count
        async with self.redis.pipeline(transaction=True) as pipeline:
            pipeline.incr(key)
            pipeline.pexpire(key, _ms(FAILURES_TTL))
            async with redis_errors():
                count, _ = await pipeline.execute()
        return int(count)

    async def reset_failures(self, service_sid: str) -> None:
        async with redis_errors():
            await self.redis.delete(PoolKeys.of(service_sid).failure_count)


@asynccontextmanager
async def redis_errors(max_seconds: float | None = COMMAND_TIMEOUT) -> AsyncIterator[None]:
    """Limit how long commands to Redis take; None for no limit.

    Raises:
        SharedStateError: when they fail or take longer.

    """
    try:
        async with asyncio.timeout(max_seconds):
            yield
    except TimeoutError as error:
        raise SharedStateError("Redis did not respond in time") from error
    except (*CLIENT_ERRORS, OSError) as error:
        raise SharedStateError(f"Redis is unavailable ({type(error).__name__})") from error


def _parse_version(stored: bytes | str | None) -> SnapshotVersion | None:
    try:
        version, read_at, *changes = (stored or b"").split()
        return SnapshotVersion(int(version), float(read_at), *map(int, changes[:1]))
    except ValueError:
        return None


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def stored_snapshot(redis: SynchronousRedis, service_sid: str) -> Snapshot | None:
    """Return the stored snapshot of a Service, for commands; None when none can be decoded.

    Its age is that of the last reading that confirmed it.
    """
    keys = PoolKeys.of(service_sid)
    stored, stored_version = redis.mget(keys.snapshot, keys.version)
    version = _parse_version(stored_version)
    try:
        snapshot = Snapshot.from_bytes(stored) if isinstance(stored, bytes) else None
    except SnapshotError:
        return None
    if snapshot is None or version is None or version.version != snapshot.version:
        return snapshot
    return snapshot.confirmed(version.read_at)
