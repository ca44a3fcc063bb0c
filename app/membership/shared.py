"""The last good snapshots in Redis, without an expiry, so that they outlive Twilio's outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis import Redis as SynchronousRedis
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.membership.snapshot import Snapshot, SnapshotError


class SharedError(RuntimeError):
    """Redis did not serve; the text is one sentence for the log."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What the stored snapshot is, without reading it."""

    version: int
    read_at: float


class SharedSnapshots:
    """Snapshots that all workers and replicas share.

    A small mark stands beside each snapshot, so that a worker sees within a second that a newer
    one is there, and whose turn it is to read Twilio is settled by a key that expires.
    """

    def __init__(self, redis: Redis, time_limit: float = 1.0) -> None:
        """``time_limit`` is in seconds, for each command."""
        self._redis = redis
        self._time_limit = time_limit

    async def marks(self, service_sids: Sequence[str]) -> list[Mark | None]:
        """Return the marks of some Services, None where nothing is stored."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for sid in service_sids:
                pipeline.get(f"{_key(sid)}:mark")
            async with self._served():
                found = await pipeline.execute()
        return [_mark(each) for each in found]

    async def fetch(self, service_sid: str) -> bytes | None:
        """Return the stored snapshot as it was written, or None."""
        async with self._served():
            stored = await self._redis.get(_key(service_sid))
        return stored.encode() if isinstance(stored, str) else stored

    async def publish(self, snapshot: Snapshot, written: bytes) -> None:
        """Store a snapshot, as ``to_bytes`` wrote it, and its mark, in one step."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.set(_key(snapshot.service_sid), written)
            pipeline.set(f"{_key(snapshot.service_sid)}:mark", _marked(snapshot))
            async with self._served():
                await pipeline.execute()

    async def confirm(self, snapshot: Snapshot) -> None:
        """Say that Twilio still answers what is stored; nothing happens where nothing is."""
        async with self._served():
            await self._redis.set(f"{_key(snapshot.service_sid)}:mark", _marked(snapshot), xx=True)

    async def take_turn(self, service_sid: str, seconds: float) -> bool:
        """Tell whether this worker may read Twilio now; nobody else may for so many seconds."""
        async with self._served():
            return bool(await self._redis.set(f"{_key(service_sid)}:turn", 1, nx=True, px=_ms(seconds)))

    async def hold_turn(self, service_sid: str, seconds: float) -> None:
        """Let the turn pass to others after so many seconds from now."""
        async with self._served():
            await self._redis.pexpire(f"{_key(service_sid)}:turn", _ms(seconds))

    @asynccontextmanager
    async def _served(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._time_limit):
                yield
        except TimeoutError as error:
            raise SharedError("Redis did not answer in time") from error
        except (RedisError, OSError) as error:
            raise SharedError(f"Redis did not serve ({type(error).__name__})") from error


def _key(service_sid: str) -> str:
    return f"sms-router:pool:{{{service_sid}}}"


def _marked(snapshot: Snapshot) -> str:
    return f"{snapshot.version} {snapshot.read_at}"


def _mark(stored: bytes | str | None) -> Mark | None:
    try:
        version, read_at = (stored or b"").split()
        return Mark(int(version), float(read_at))
    except ValueError:
        return None


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def stored_snapshot(redis: SynchronousRedis, service_sid: str) -> Snapshot | None:
    """Return what is stored about a Service, None when nothing is, or nothing that can be read.

    For commands at a terminal; workers use `SharedSnapshots`.
    """
    stored = redis.get(_key(service_sid))
    try:
        return Snapshot.from_bytes(stored) if isinstance(stored, bytes) else None
    except SnapshotError:
        return None
