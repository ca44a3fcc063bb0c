"""The cordons in Redis: made and released by commands, known to every worker within a second."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from redis import Redis as SynchronousRedis
from redis.asyncio import Redis

from sms_router.membership.sync.versioned_hash import HashStatus, VersionedHash
from sms_router.senders.cordons import Cordon, Cordons
from sms_router.store.keys import CORDONS, CORDONS_VERSION, POOLS_CHANNEL

log = logging.getLogger("sms_router.membership")


class CordonSync:
    """Keeps one worker's cordons like those in Redis."""

    def __init__(self, redis: Redis, cordons: Cordons, time_limit: float = 1.0) -> None:
        """``time_limit`` is in seconds, for each command."""
        self._cordons = cordons
        self._stored = VersionedHash(redis, CORDONS, CORDONS_VERSION, time_limit)

    async def sync(self) -> None:
        """Install the stored cordons where they have changed.

        Raises:
            SharedStateError: when Redis does not serve; the installed cordons stay.

        """
        if await self._stored.sync() is HashStatus.CHANGED:
            self._install(_read(self._stored.fields))

    def _install(self, cordons: tuple[Cordon, ...]) -> None:
        before = {each.sid: each for each in self._cordons.active}
        self._cordons.install(cordons)
        holding = {each.sid: each for each in self._cordons.active}
        for sid, cordon in holding.items():
            if before.get(sid) != cordon:
                log.warning("%s is %s", cordon.address, cordon.describe(cordon.since))
        for sid in before.keys() - holding.keys():
            log.info("%s is not cordoned any more", before[sid].address)


def stored_cordons(redis: SynchronousRedis, now: float) -> tuple[Cordon, ...]:
    """Return the cordons that hold at a moment. For commands at a terminal."""
    stored: Any = redis.hgetall(CORDONS)
    return tuple(each for each in _read(stored) if each.is_active(now))


def store_cordon(redis: SynchronousRedis, cordon: Cordon) -> None:
    """Take a sender out of use, or change why and until when; every worker is told."""
    _change(redis, cordon.service_sid, cordon.since, {cordon.sid: _written(cordon)}, [])


def release(redis: SynchronousRedis, cordon: Cordon, now: float) -> None:
    """Put a sender into use again; every worker is told."""
    _change(redis, cordon.service_sid, now, {}, [cordon.sid])


def _change(
    redis: SynchronousRedis, service_sid: str, now: float, made: Mapping[Any, Any], gone: Iterable[str]
) -> None:
    stored: Any = redis.hgetall(CORDONS)
    ended = [each.sid for each in _read(stored) if each.until is not None and each.until <= now]
    with redis.pipeline(transaction=True) as pipeline:
        for sid in {*gone, *ended} - made.keys():
            pipeline.hdel(CORDONS, sid)
        if made:
            pipeline.hset(CORDONS, mapping=made)
        pipeline.incr(CORDONS_VERSION)
        pipeline.execute()
    redis.publish(POOLS_CHANNEL, service_sid)  # no Cluster takes it into a pipeline


def _written(cordon: Cordon) -> str:
    return json.dumps(asdict(cordon))


def _read(stored: Mapping[bytes, bytes]) -> tuple[Cordon, ...]:
    """Read what is stored; what is no cordon is left out, and told once each time it is read."""
    cordons = []
    for sid, written in sorted(stored.items()):
        try:
            cordon = Cordon(**json.loads(written))
            cordon.describe(cordon.since)
        except (ValueError, TypeError, OverflowError, OSError):
            log.error("a stored cordon cannot be read: %s", sid.decode("utf-8", "replace"))
        else:
            cordons.append(cordon)
    return tuple(cordons)
