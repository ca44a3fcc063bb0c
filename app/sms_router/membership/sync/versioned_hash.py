"""A hash in Redis that each worker has a copy of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from redis.asyncio import Redis

from sms_router.membership.snapshot_store import redis_errors
from sms_router.store.redis_py import run_script
from sms_router.store.scripts import restore_hash


class HashStatus(Enum):
    """What `VersionedHash.sync` found."""

    UNCHANGED = auto()
    CHANGED = auto()
    RESTORED = auto()
    """Redis had lost the hash; it was stored again from the copy."""


@dataclass(eq=False)
class VersionedHash:
    """One worker's copy of a hash that commands change, with a version that each change increments.

    While nothing has changed, `sync` reads only the version. A missing version means that Redis has lost its
    data, and the hash is stored again from the copy.
    """

    redis: Redis
    """Returns bytes."""
    key: bytes
    version_key: bytes
    companion: bytes | None = None
    """A second hash whose changes are counted too; it is read as well and not restored."""
    fields: Mapping[bytes, bytes] = field(default_factory=dict, init=False)
    """The hash at the last `sync`."""
    companion_fields: Mapping[bytes, bytes] = field(default_factory=dict, init=False)
    _version: int = field(default=0, init=False)

    async def sync(self) -> HashStatus:
        """Update the copy, or restore the hash.

        Raises:
            SharedStateError: when Redis is unavailable; the copy stays.

        """
        async with redis_errors():
            version = await self.redis.get(self.version_key)
        if version is None and self._version:
            await self._restore()
            return HashStatus.RESTORED
        if int(version or 0) == self._version:
            return HashStatus.UNCHANGED
        async with self.redis.pipeline(transaction=True) as pipeline:
            pipeline.get(self.version_key)
            pipeline.hgetall(self.key)
            if self.companion is not None:
                pipeline.hgetall(self.companion)
            async with redis_errors():
                version, self.fields, *companions = await pipeline.execute()
        if companions:
            (self.companion_fields,) = companions
        self._version = int(version or 0)
        return HashStatus.CHANGED

    async def _restore(self) -> None:
        call = restore_hash(
            hash_key=self.key,
            hash_version=self.version_key,
            version=self._version,
            fields=self.fields,
        )
        async with redis_errors():
            await run_script(self.redis, call)
