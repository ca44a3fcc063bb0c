"""Merges a worker's copy of the opt-out list with the list in Redis; neither loses an opt-out of the other.

Redis may come back with less than it had: emptied, evicted, failed over to a replica that lags, or another
server. Each bucket of contacts has a mark there, its epoch, which is lost with the data. A worker compares
the epochs before it uses a server that is not the one before, whenever it has subscribed anew, and one bucket
in each second. Where one is missing or has changed, every worker writes back what its copy has and Redis has
not, except where a later START is recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, ItemsView, Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from uuid import uuid4

from sms_router.routing.opt_outs.cache import ConsentChange, OptOutCache, StoredEvidence
from sms_router.routing.opt_outs.opt_out_times import OptOutKey
from sms_router.store import scripts
from sms_router.store.connection import encode
from sms_router.store.errors import RedirectedError, StoreUnavailableError
from sms_router.store.keys import ALL_BUCKETS, BUCKETS, CONSENTS_CHANNEL, bucket_of
from sms_router.store.resilient_connection import Run
from sms_router.store.store import Store
from sms_router.tasks import PeriodicTask, wait_for_event

_Result = TypeVar("_Result")

log = logging.getLogger("sms_router.opt_outs")

CHECK_INTERVAL = 1.0
"""Seconds between two checks of an epoch."""

COPY_TIMEOUT = 1.0
"""Seconds that a worker without a whole copy waits for the others to write back theirs."""

MAX_CONCURRENT_BUCKETS = 4
"""Buckets that are compared at once, because of the latency."""

TURN_SIZE = 50
"""Entries that are applied in one turn of the event loop."""

PAGE_SIZE = 500
"""Entries of the list that are read at once."""

PAGE_OVERLAP = 20
"""Entries that are read twice, because others may leave the list between two pages."""

RESTORE_BUDGET = 3.0
"""Seconds for which a new server is not used, at most: enough for some 100,000 opt-outs."""

RESET_INTERVAL = 60.0
"""Seconds between two reconnections because of a loss: a Redis that evicts keys loses some all the time."""

PAUSE_FACTOR = 9
"""A merge is followed by a pause of so many times its duration: it takes a tenth of the time at most."""

BATCH_SIZE = 200
"""Opt-outs that are written back at once."""

NOTICE_HOURS = 24
"""For so long `/readyz` tells that Redis had lost opt-outs."""

REPORT_INTERVAL = 60
"""Seconds in which one worker alone logs a loss."""

RESTORED = "(restored from a router's copy)"
"""The source of an opt-out that was written back. It sorts before all others, so that they replace it."""

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
        source=RESTORED,
        requested_at=None,
        order=at,
        ttl_ms=ttl_ms,
        consent_ttl_ms=consent_ttl_ms,
    )


async def _by_bucket(entries: ItemsView[OptOutKey, int]) -> list[list[tuple[OptOutKey, int]]]:
    buckets: list[list[tuple[OptOutKey, int]]] = [[] for _ in ALL_BUCKETS]
    for count, entry in enumerate(tuple(entries)):
        buckets[bucket_of(entry[0][1]).number].append(entry)
        if count % 1000 == 999:
            await asyncio.sleep(0)  # messages go first
    return buckets


async def _gather(calls: Iterable[Awaitable[_Result]]) -> list[_Result]:
    """Wait for all calls; raise the first error only when all have ended."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


class OptOutSync(PeriodicTask):
    """Keeps one worker's copy and Redis the same; the store's `restorers` are to contain `restore`.

    ``clock`` returns the time in seconds since the epoch, by Redis' clock. ``contact_ttl_ms`` returns how
    long the other facts about a contact are kept, in milliseconds.
    """

    def __init__(
        self,
        store: Store,
        cache: OptOutCache,
        clock: Callable[[], float],
        contact_ttl_ms: Callable[[], int],
        consent_retention_days: float,
    ) -> None:
        super().__init__("opt-outs-sync", 0, self._wait_and_sync)
        self.cache = cache
        self._store = store
        self._clock = clock
        self._contact_ttl_ms = contact_ttl_ms
        self._consent_ttl_ms = int(consent_retention_days * 86_400_000)
        self._epochs: dict[int, str] = {}
        self._next_check = 0
        self._lost_at = 0.0
        """When this worker last wrote opt-outs back, in seconds since the epoch."""
        self._reset_at = -math.inf
        """When the store was last reset, on the loop's clock."""
        self._lock = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._merged = asyncio.Event()

    async def wait_until_merged(self, seconds: float) -> None:
        """Wait until the copy and Redis have the same opt-outs, ``seconds`` at the most."""
        if self._store.error is None:
            await wait_for_event(self._merged, seconds)
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

    @property
    def retention_start(self) -> int:
        """The time before which nothing is kept of contacts who have not opted out, in milliseconds."""
        return int(self._clock() * 1000) - self._consent_ttl_ms

    async def restore_evidence(self, entries: Sequence[StoredEvidence]) -> bool:
        """Write entries of ledgers back that Redis does not have; False where it does not serve."""
        calls = (
            scripts.record_evidence(
                scope=one.scope,
                contact=one.contact,
                at=one.at,
                consent_ttl_ms=self._consent_ttl_ms,
                entry_id=one.entry_id,
                entry=encode(one.entry),
            )
            for one in entries
        )
        results = await asyncio.gather(*map(self._store.run, calls), return_exceptions=True)
        return not any(isinstance(result, BaseException) for result in results)

    def notices(self) -> list[str]:
        """Return what operators should know of opt-outs that Redis had lost lately."""
        begun = [int(mark.split()[0]) / 1000 for mark in self._epochs.values() if mark.endswith(_LOST)]
        lost_at = max(self._lost_at, *begun, 0.0)
        if lost_at < self._clock() - NOTICE_HOURS * 3600:
            return []
        moment = datetime.fromtimestamp(lost_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return [
            f"Redis had lost opt-outs at {moment}; the routers wrote them back from their copies: run "
            "sms-router check, which names what Redis does not keep"
        ]

    async def _wait_and_sync(self) -> None:
        requested = self.cache.differs_from_redis
        await wait_for_event(requested, CHECK_INTERVAL)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            if not requested.is_set() and self._merged.is_set():
                number = self._next_check = (self._next_check + 1) % BUCKETS
                epoch, _ = await self._store.run(scripts.read_opt_outs(ALL_BUCKETS[number], first=0, count=0))
                if epoch.decode() == self._epochs.get(number):
                    return
                if not epoch and began > self._reset_at + RESET_INTERVAL:
                    self._reset_at = began
                    self._store.reset("it has lost its data")  # reconnects, and calls `restore`
                    return
            requested.clear()
            self._merged.clear()
            await self.merge(self._store.run)
        except StoreUnavailableError:
            return
        await asyncio.sleep(PAUSE_FACTOR * (loop.time() - began))

    async def restore(self, run: Run) -> None:
        """Write back to a new server what it has lost, before it is used; compare the rest while it serves.

        What takes longer than `RESTORE_BUDGET` follows too: nobody on the copy is answered meanwhile. Raises
        as `merge`.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RESTORE_BUDGET):
                await self.merge(run, lost_only=True)
        self.request()

    async def merge(self, run: Run, *, lost_only: bool = False) -> None:
        """Read the list, write back what is missing from it, and begin the epochs that are missing.

        ``run`` may run scripts on one node of a Cluster alone. With ``lost_only`` only buckets are read whose
        epoch is missing or has changed.

        Raises:
            StoreUnavailableError: when Redis fails in between.

        """
        async with self._lock:
            knew_list = bool(self.cache) or bool(self._epochs)
            starts = await _by_bucket(self.cache.starts.items())
            slots = asyncio.Semaphore(MAX_CONCURRENT_BUCKETS)

            async def merge_bucket(number: int) -> tuple[str, int]:
                async with slots:
                    return await self._merge_bucket(run, number, starts[number])

            numbers = [
                number
                for number, epoch in (await self._read_epochs(run)).items()
                if not lost_only or not epoch or epoch != self._epochs.get(number, epoch)
            ]
            merged = dict(zip(numbers, await _gather(map(merge_bucket, numbers)), strict=True))
            restored = sum(count for _, count in merged.values())
            lost = [number for number, (epoch, _) in merged.items() if not epoch]
            if lost and not self.cache.is_complete:
                lost = await self._wait_for_others(run, lost)
            mark = f"{int(self._clock() * 1000)} {uuid4().hex[:8]} {_LOST if knew_list else ''}".strip()
            keys = [ALL_BUCKETS[number].consent_epoch for number in lost]
            begun = await _gather(
                run(scripts.mark_opt_outs(mark_key=key, mark=mark, ttl_ms="")) for key in keys
            )
            self._epochs |= {number: one.decode() for number, one in zip(lost, begun, strict=True)}
            if len(self._epochs) == BUCKETS:
                self.cache.is_complete = True
                self._merged.set()
        if restored or (lost and knew_list):
            await self._report(run, ALL_BUCKETS[numbers[0]].consent_loss, mark, restored)

    async def _read_epochs(self, run: Run) -> dict[int, str]:
        """Return the epochs by the numbers of their buckets, without those of other nodes."""
        calls = (run(scripts.read_opt_outs(bucket, first=0, count=0)) for bucket in ALL_BUCKETS)
        results = await asyncio.gather(*calls, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, RedirectedError):
                raise result
        return {
            number: result[0].decode()
            for number, result in enumerate(results)
            if not isinstance(result, BaseException)
        }

    async def _merge_bucket(
        self, run: Run, number: int, starts: list[tuple[OptOutKey, int]] | None
    ) -> tuple[str, int]:
        """Merge the opt-outs of a bucket; return its epoch, and how many opt-outs Redis did not have.

        With None for the known STARTs it is only read.
        """
        in_redis: set[OptOutKey] = set()
        first, entries = 0, [b""] * 2 * PAGE_SIZE
        while len(entries) == 2 * PAGE_SIZE:
            call = scripts.read_opt_outs(ALL_BUCKETS[number], first=first, count=PAGE_SIZE)
            stored_epoch, entries = await run(call)
            epoch = stored_epoch.decode()
            for member, since in zip(entries[::2], entries[1::2], strict=True):
                scope, _, contact = member.decode().partition(" ")
                in_redis.add((scope, contact))
                self.cache.apply((scope, contact), ConsentChange(is_opted_out=True, at=int(since)))
                if len(in_redis) % TURN_SIZE == 0:
                    await asyncio.sleep(0)  # messages go first
            first += PAGE_SIZE - PAGE_OVERLAP
        has_lost = not epoch or epoch != self._epochs.get(number, epoch)
        self.cache.is_evidence_lost = self.cache.is_evidence_lost or has_lost
        missing: list[tuple[OptOutKey, int]] = []
        for part in self.cache.stops.parts_of(number) if starts is not None else ():
            missing += [entry for entry in part if entry[0] not in in_redis]
            await asyncio.sleep(0)
        async with self._writing:
            ended = [one for one in starts or () if has_lost or one[0] in in_redis]
            await self._restore(run, "start", ended)
            count = await self._restore(run, "stop", missing)
        if epoch:
            self._epochs[number] = epoch
        return epoch, count

    async def _restore(self, run: Run, request: str, entries: list[tuple[OptOutKey, int]]) -> int:
        """Write entries back; return how many Redis did not have."""
        count, ttls = 0, (self._contact_ttl_ms(), self._consent_ttl_ms)
        for start in range(0, len(entries), BATCH_SIZE):
            batch = entries[start : start + BATCH_SIZE]
            runs = (run(restore_call(request, key, at, *ttls)) for key, at in batch)
            for (key, _), result in zip(batch, await _gather(runs), strict=True):
                changed, is_opted_out, order = result
                self.cache.apply(key, ConsentChange(bool(is_opted_out), order))
                count += changed
        return count

    async def _wait_for_others(self, run: Run, lost: list[int]) -> list[int]:
        """Have the other workers write back their copies, for this one is not whole; read them.

        Return the buckets whose epoch no other worker has begun.
        """
        bucket = ALL_BUCKETS[lost[0]]
        call = scripts.publish(key=bucket.opt_outs, channel=CONSENTS_CHANNEL, payload="restore")
        is_subscribed = int(self._merged.is_set())
        others = int(await run(call)) - is_subscribed
        until = asyncio.get_running_loop().time() + COPY_TIMEOUT
        while others > 0 and lost and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(COPY_TIMEOUT / 20)
            read = await _gather(self._merge_bucket(run, number, None) for number in lost)
            lost = [number for number, (epoch, _) in zip(lost, read, strict=True) if not epoch]
        return lost

    async def _report(self, run: Run, mark_key: bytes, mark: str, restored: int) -> None:
        """Tell operators of a loss, unless another worker has."""
        self._lost_at = self._clock()
        call = scripts.mark_opt_outs(mark_key=mark_key, mark=mark, ttl_ms=REPORT_INTERVAL * 1000)
        if (await run(call)).decode() != mark:
            return
        log.error(
            "Redis had lost opt-outs; no contact on the list got a reply. The routers write it back from "
            "their copies, %d entries of this one. Run sms-router check: it names what Redis may lose",
            restored,
        )
