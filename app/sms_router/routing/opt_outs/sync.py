"""Merges a worker's copy of the opt-out list with the list in Redis; neither loses an opt-out of the other.

Redis may come back with less than it had: emptied, evicted, failed over to a replica that lags, or another
server. Each bucket of contacts has a mark there, its epoch, which is lost with the data. A worker compares
the epochs at its start, whenever it has subscribed anew, and one bucket in each second. Where one is missing
or has changed, every worker writes back what its copy has and Redis has not, except where a later START is
recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, ItemsView
from datetime import UTC, datetime
from uuid import uuid4

from sms_router.routing.opt_outs.cache import ConsentChange, OptOutCache, OptOutKey
from sms_router.store import scripts
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.keys import ALL_BUCKETS, BUCKETS, CONSENT_LOSS, CONSENTS_CHANNEL, bucket_of
from sms_router.store.store import Store
from sms_router.tasks import PeriodicTask

log = logging.getLogger("sms_router.opt_outs")

CHECK_INTERVAL = 1.0
"""Seconds between two checks of an epoch, and between two attempts while Redis is away."""

COPY_TIMEOUT = 1.0
"""Seconds that a worker without a whole copy waits for the others to write back theirs."""

BATCH_SIZE = 200
"""Opt-outs that are written back at once."""

NOTICE_HOURS = 24
"""For so long `/readyz` tells that Redis had lost opt-outs."""

REPORT_INTERVAL = 60
"""Seconds in which one worker alone logs a loss."""

_LOST = "lost"
"""The end of an epoch that began because Redis had lost the one before."""


def restore_call(request: str, key: OptOutKey, at: int, ttl_ms: int, consent_ttl_ms: int) -> scripts.Call:
    """Return the call that writes a STOP or START back; the newest one counts."""
    scope, contact = key
    return scripts.change_consent(
        scope=scope,
        contact=contact,
        message=None,
        request=request,
        source="restored from a router's copy",
        requested_at=at,
        ttl_ms=ttl_ms,
        consent_ttl_ms=consent_ttl_ms,
    )


async def _by_bucket(entries: ItemsView[OptOutKey, int]) -> list[list[tuple[OptOutKey, int]]]:
    """Return entries by the bucket of the contact."""
    number_of = {bucket.tag: number for number, bucket in enumerate(ALL_BUCKETS)}
    buckets: list[list[tuple[OptOutKey, int]]] = [[] for _ in ALL_BUCKETS]
    for count, entry in enumerate(tuple(entries)):
        buckets[number_of[bucket_of(entry[0][1]).tag]].append(entry)
        if count % 1000 == 999:
            await asyncio.sleep(0)  # messages go first
    return buckets


class OptOutSync:
    """Keeps one worker's copy and Redis the same.

    Args:
        store: runs the scripts.
        cache: the copy.
        clock: the time in seconds since the epoch, by Redis' clock.
        contact_ttl_ms: returns how long the other facts about a contact are kept, in milliseconds.
        consent_retention_days: how long a START is kept.

    """

    def __init__(
        self,
        store: Store,
        cache: OptOutCache,
        clock: Callable[[], float],
        contact_ttl_ms: Callable[[], int],
        consent_retention_days: float,
    ) -> None:
        self.cache = cache
        self._store = store
        self._clock = clock
        self._contact_ttl_ms = contact_ttl_ms
        self._consent_ttl_ms = int(consent_retention_days * 86_400_000)
        self._epochs: dict[int, str] = {}
        self._next_check = 0
        self._lost_at = 0.0
        """When this worker last wrote opt-outs back, in seconds since the epoch."""
        self._is_due = True
        """Whether the copy was never merged, or Redis failed in between."""
        self._merged = asyncio.Event()
        self._waits_until: float | None = None
        """While the other workers write back their copies: until when this one waits for them."""
        self._task = PeriodicTask("opt-outs-sync", 0, self._wait_and_sync)

    def start(self) -> None:
        self._task.start()

    async def aclose(self) -> None:
        await self._task.aclose()

    async def wait_until_merged(self, seconds: float) -> None:
        """Wait until the copy and Redis have the same opt-outs, ``seconds`` at the most."""
        if self._store.error is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._merged.wait()
        if not self.cache.is_complete:
            log.warning(
                "%s, and the data directory has no whole opt-out list: until it is read, contacts who have "
                "opted out may be answered",
                "Redis has not returned the list yet"
                if self._store.error is None
                else "Redis does not serve",
            )

    def request(self) -> None:
        """Compare the whole copy with Redis soon."""
        self.cache.differs_from_redis.set()

    def notices(self) -> list[str]:
        """Return what operators should know of opt-outs that Redis had lost lately."""
        begun = [int(mark.split()[0]) / 1000 for mark in self._epochs.values() if mark.endswith(_LOST)]
        lost_at = max(self._lost_at, *begun, 0.0)
        if lost_at < self._clock() - NOTICE_HOURS * 3600:
            return []
        moment = datetime.fromtimestamp(lost_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return [
            f"Redis had lost the opt-out list at {moment}; the routers wrote it back from their copies: run "
            "sms-router check, which names what Redis does not keep"
        ]

    async def _wait_and_sync(self) -> None:
        requested = self.cache.differs_from_redis
        if self._waits_until is not None:
            await asyncio.sleep(COPY_TIMEOUT / 10)
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_INTERVAL):
                    await requested.wait()
        try:
            if requested.is_set() or self._is_due or await self._has_new_epoch():
                requested.clear()
                self._is_due = True
                self._is_due = not await self._merge()
        except StoreUnavailableError:
            return

    async def _has_new_epoch(self) -> bool:
        """Check the epoch of the next bucket."""
        self._next_check = (self._next_check + 1) % BUCKETS
        epoch, _ = await self._store.run(scripts.read_opt_outs(ALL_BUCKETS[self._next_check], count=0))
        return bool(epoch.decode() != self._epochs.get(self._next_check))

    async def _merge(self) -> bool:
        """Read the list, write back what is missing from it, and begin the epochs that are missing.

        Return False while this worker waits for the copies of the others.
        """
        cache = self.cache
        knew_list = bool(cache) or bool(self._epochs)
        copies, starts = await _by_bucket(cache.items()), await _by_bucket(cache.starts.items())
        lost: list[int] = []
        restored = 0
        for number, bucket in enumerate(ALL_BUCKETS):
            limit = cache.max_size // BUCKETS + 1
            epoch, entries = await self._store.run(scripts.read_opt_outs(bucket, count=limit))
            in_redis: dict[OptOutKey, int] = {}
            for member, since in zip(reversed(entries[::2]), reversed(entries[1::2]), strict=True):
                scope, _, contact = member.decode().partition(" ")
                in_redis[scope, contact] = int(since)
                cache.apply((scope, contact), ConsentChange(is_opted_out=True, at=int(since)))
            oldest = min(in_redis.values(), default=0) if len(in_redis) == limit else 0
            has_lost = not epoch or epoch.decode() != self._epochs.get(number, epoch.decode())
            await self._restore("start", [one for one in starts[number] if has_lost or one[0] in in_redis])
            restored += await self._restore(
                "stop", [(key, at) for key, at in copies[number] if key not in in_redis and at >= oldest]
            )
            if epoch:
                self._epochs[number] = epoch.decode()
            else:
                lost.append(number)
        if lost and not self._may_begin(await self._ask_others(lost[0])):
            return False
        self._waits_until = None
        mark = f"{int(self._clock() * 1000)} {uuid4().hex[:8]} {_LOST if knew_list else ''}".strip()
        for number in lost:
            key = ALL_BUCKETS[number].consent_epoch
            begun = await self._store.run(scripts.mark_opt_outs(mark_key=key, mark=mark, ttl_ms=""))
            self._epochs[number] = begun.decode()
        cache.is_complete = True
        self._merged.set()
        if restored or (lost and knew_list):
            await self._report(mark, restored)
        return True

    async def _restore(self, request: str, entries: list[tuple[OptOutKey, int]]) -> int:
        """Write entries back; return how many Redis did not have."""
        count, ttls = 0, (self._contact_ttl_ms(), self._consent_ttl_ms)
        for start in range(0, len(entries), BATCH_SIZE):
            batch = entries[start : start + BATCH_SIZE]
            runs = (self._store.run(restore_call(request, key, at, *ttls)) for key, at in batch)
            results = await asyncio.gather(*runs, return_exceptions=True)
            for (key, _), result in zip(batch, results, strict=True):
                if isinstance(result, BaseException):
                    raise result
                changed, is_opted_out, holds_since = result
                self.cache.apply(key, ConsentChange(bool(is_opted_out), holds_since))
                count += changed
        return count

    async def _ask_others(self, number: int) -> int:
        """Have every worker write back its copy; return how many other workers there are."""
        if self._waits_until is not None:
            return 1
        key = ALL_BUCKETS[number].opt_outs
        call = scripts.publish(key=key, channel=CONSENTS_CHANNEL, payload="restore")
        return int(await self._store.run(call)) - 1

    def _may_begin(self, others: int) -> bool:
        """Tell whether this worker may mark the list as whole: its copy is, or nobody else has one."""
        now = asyncio.get_running_loop().time()
        if self.cache.is_complete or others < 1 or (self._waits_until or now + 1) <= now:
            return True
        self._waits_until = self._waits_until or now + COPY_TIMEOUT
        return False

    async def _report(self, mark: str, restored: int) -> None:
        """Tell operators of a loss, unless another worker has."""
        self._lost_at = self._clock()
        call = scripts.mark_opt_outs(mark_key=CONSENT_LOSS, mark=mark, ttl_ms=REPORT_INTERVAL * 1000)
        if (await self._store.run(call)).decode() == mark:
            log.error(
                "Redis had lost opt-outs; nobody on the list was answered. The routers write it back from "
                "their copies, %d entries of this one. Run sms-router check: it names what Redis does not "
                "keep",
                restored,
            )
