"""A hash in Redis that workers keep a copy of."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from redis.asyncio import Redis

from sms_router.membership.snapshot_store import redis_errors
from sms_router.store.redis_py import run_script
from sms_router.store.scripts.senders import restore_hash


class HashStatus(Enum):
    """What `VersionedHash.sync` found."""

    UNCHANGED = auto()
    CHANGED = auto()
    RESTORED = auto()
    """Redis had lost the hash, and has it again."""


class VersionedHash:
    """One worker's copy of a hash that commands change, with a version that each change increments.

    The version costs one small read while nothing has changed. Where it is missing, Redis has lost its data
    (it may have no persistence), and the hash is stored again from the copy.
    """

    def __init__(
        self, redis: Redis, key: bytes, version_key: bytes, time_limit: float, companion: bytes | None = None
    ) -> None:
        """Create an empty copy.

        Args:
            redis: answers bytes.
            key: of the hash.
            version_key: counts its changes.
            time_limit: seconds for each command.
            companion: a second hash whose changes are counted too; it is read along and not restored.

        """
        self._redis = redis
        self._key = key
        self._version_key = version_key
        self._companion = companion
        self._time_limit = time_limit
        self._version = 0
        self.fields: Mapping[bytes, bytes] = {}
        """Of the hash, as of the last `sync`."""
        self.companion_fields: Mapping[bytes, bytes] = {}

    async def sync(self) -> HashStatus:
        """Bring the copy up to date, or Redis.

        Raises:
            SharedStateError: when Redis does not serve; the copy stays as it is.

        """
        async with redis_errors(self._time_limit):
            version = await self._redis.get(self._version_key)
        if version is None and self._version:
            await self._restore()
            return HashStatus.RESTORED
        if int(version or 0) == self._version:
            return HashStatus.UNCHANGED
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.get(self._version_key)
            pipeline.hgetall(self._key)
            if self._companion is not None:
                pipeline.hgetall(self._companion)
            async with redis_errors(self._time_limit):
                version, self.fields, *companions = await pipeline.execute()
        if companions:
            (self.companion_fields,) = companions
        self._version = int(version or 0)
        return HashStatus.CHANGED

    async def _restore(self) -> None:
        call = restore_hash(
            hash_key=self._key,
            hash_version=self._version_key,
            version=self._version,
            fields=self.fields,
        )
        async with redis_errors(self._time_limit):
            await run_script(self._redis, call)
