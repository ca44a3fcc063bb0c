"""The cordons in Redis: commands change them, and every worker reads them within a second."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from redis import Redis as SynchronousRedis
from redis.asyncio import Redis

from sms_router.membership import audit_log
from sms_router.membership.sync.versioned_hash import HashStatus, VersionedHash
from sms_router.senders.cordons import Cordon, Cordons
from sms_router.store.keys import CORDONS, CORDONS_VERSION, POOLS_CHANNEL

log = logging.getLogger("sms_router.membership")


class CordonSync:
    """Copies the stored cordons into one worker's `Cordons`."""

    def __init__(self, redis: Redis, cordons: Cordons) -> None:
        self._cordons = cordons
        self._stored = VersionedHash(redis, CORDONS, CORDONS_VERSION)

    async def sync(self) -> None:
        """Install the stored cordons if they have changed.

        Raises:
            SharedStateError: when Redis is unavailable; the installed cordons stay.

        """
        if await self._stored.sync() is HashStatus.CHANGED:
            self._install(_decode(self._stored.fields))

    def _install(self, cordons: tuple[Cordon, ...]) -> None:
        before = {cordon.sid: cordon for cordon in self._cordons.active}
        self._cordons.install(cordons)
        active = {cordon.sid: cordon for cordon in self._cordons.active}
        for sid, cordon in active.items():
            if before.get(sid) != cordon:
                log.warning("%s is %s", cordon.address, cordon.describe(cordon.since))
        for sid in before.keys() - active.keys():
            log.info("%s is no longer cordoned", before[sid].address)


def stored_cordons(redis: SynchronousRedis, now: float) -> tuple[Cordon, ...]:
    """Return the cordons that are active at a time, for commands."""
    stored: Any = redis.hgetall(CORDONS)
    return tuple(cordon for cordon in _decode(stored) if cordon.is_active(now))


def store_cordon(redis: SynchronousRedis, cordon: Cordon) -> None:
    """Cordon a sender, or change its cordon, on every worker; it is recorded in the audit log."""
    _change(redis, cordon.service_sid, cordon.since, {cordon.sid: json.dumps(asdict(cordon))}, [])
    detail = f"{cordon.address}: {cordon.describe(cordon.since)}"
    audit_log.record(redis, cordon.service_sid, "cordon", cordon.sid, detail, who=cordon.who)


def release_cordon(redis: SynchronousRedis, cordon: Cordon, now: float, who: str) -> None:
    """End the cordon of a sender on every worker; it is recorded in the audit log."""
    _change(redis, cordon.service_sid, now, {}, [cordon.sid])
    audit_log.record(redis, cordon.service_sid, "release", cordon.sid, cordon.address, who=who)


def _change(
    redis: SynchronousRedis, service_sid: str, now: float, added: Mapping[Any, Any], removed: Iterable[str]
) -> None:
    stored: Any = redis.hgetall(CORDONS)
    ended = [cordon.sid for cordon in _decode(stored) if not cordon.is_active(now)]
    with redis.pipeline(transaction=True) as pipeline:
        for sid in {*removed, *ended} - added.keys():
            pipeline.hdel(CORDONS, sid)
        if added:
            pipeline.hset(CORDONS, mapping=added)
        pipeline.incr(CORDONS_VERSION)
        pipeline.execute()
    redis.publish(POOLS_CHANNEL, service_sid)  # not in a pipeline, for Redis Cluster


def _decode(stored: Mapping[bytes, bytes]) -> tuple[Cordon, ...]:
    """Decode stored cordons; malformed ones are logged and left out."""
    cordons = []
    for sid, encoded in sorted(stored.items()):
        try:
            cordon = Cordon(**json.loads(encoded))
            cordon.describe(cordon.since)
        except (ValueError, TypeError, OverflowError, OSError):
            log.error("a stored cordon cannot be read: %s", sid.decode("utf-8", "replace"))
        else:
            cordons.append(cordon)
    return tuple(cordons)
