"""The senders of every Service, kept fresh from Twilio and Redis for all workers alike."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

from redis.asyncio import Redis

from sms_router.membership.memory import PoolRegistry
from sms_router.membership.reading import decode_snapshot, read_with_timeout
from sms_router.membership.refresher import WATCH_EVERY, Refresher, Sleep
from sms_router.membership.service_state import Origin, ServiceState, ServiceStatus, log
from sms_router.membership.snapshot import Snapshot, SnapshotError
from sms_router.membership.snapshot_store import (
    SharedStateError,
    SnapshotStore,
    SnapshotVersion,
    StoredState,
    StoreResult,
)
from sms_router.membership.source import PoolReadError, ServiceSource
from sms_router.membership.sync.cordon_sync import CordonSync
from sms_router.senders.cordons import Cordons
from sms_router.senders.pool import Pool

READ_LIMIT = 60.0
"""Seconds that one reading of Twilio may take, all pages together."""
STALE_AFTER = 3600.0
"""Seconds; the hard age. Older pools still serve, and are counted and reported."""


class Membership:
    """Snapshots of several Services side by side.

    Asking costs a dictionary look-up and never waits. Twilio, Redis, or both may be away: the
    last good snapshot stays, and with none ``pool_for`` says that nothing is known.
    """

    def __init__(
        self,
        sources: Iterable[ServiceSource],
        redis: Redis,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
        read_limit: float = READ_LIMIT,
        stale_after: float = STALE_AFTER,
        report: Callable[[tuple[ServiceStatus, ...]], None] = lambda _: None,
        beside: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Remember the Services; ``start`` fetches them. All times are in seconds.

        ``report`` is told the statuses about once a second. ``beside`` follows what else is kept in Redis
        about senders; it raises `SharedError` when Redis does not serve.
        """
        self._memory = PoolRegistry(sources, clock, stale_after)
        self._shared = SnapshotStore(redis)
        self.cordons = Cordons(clock)
        self._shared_cordons = CordonSync(redis, self.cordons)
        self._clock = clock
        self._read_limit = read_limit
        self._report = report
        self._beside = beside
        self._following = asyncio.Lock()
        self._background = Refresher(self, self._memory.held, self._shared, sleep)
        self.pool_for = self._memory.pool_for
        self.trouble: str | None = None
        """Why Redis does not serve, or None while it does."""

    pool_for: Callable[[str | None, str], Pool | None]
    """Given the message's Service and the texted number, the pool that answers.

    None means that nothing is known: the answer leaves from the number that was texted.
    """

    @property
    def pools(self) -> Mapping[str, Pool]:
        """The pools by Service, replaced as a whole and never changed."""
        return self._memory.pools

    def snapshot(self, service_sid: str) -> Snapshot | None:
        """Return all that is known about a Service, its numbers' own URLs too."""
        held = self._memory.held.get(service_sid)
        return held.snapshot if held else None

    def statuses(self) -> tuple[ServiceStatus, ...]:
        """Return what probes and metrics tell, one for each Service."""
        return self._memory.statuses()

    async def start(self) -> None:
        """Take what Redis has, then begin to refresh; returns without waiting for Twilio."""
        await self.sync()
        self._background.start()

    async def settle(self, time_limit: float) -> None:
        """Wait until each Service is known or was tried once, for at most ``time_limit`` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(time_limit):
                for held in self._memory.held.values():
                    await held.tried.wait()

    async def aclose(self) -> None:
        """Stop the background work."""
        await self._background.aclose()

    async def refresh(self, service_sid: str) -> Snapshot:
        """Read one Service from Twilio now, no matter whose turn it is, and tell the other workers.

        Raises:
            KeyError: when the Service is not one of the configured ones.
            MembershipError: when Twilio cannot be read; what was known stays.

        """
        held = self._memory.held[service_sid]
        try:
            snapshot = await self._read(held)
        except PoolReadError as error:
            held.failed(str(error))
            raise
        held.succeeded()
        return snapshot

    async def refresh_after_change(self, service_sid: str) -> Snapshot:
        """Read a Service that was just changed at Twilio, for all workers.

        They learn at once that what they hold is out of date. Should this process die, or Twilio not be
        readable, one of them reads it instead.

        Raises:
            MembershipError: as ``refresh``.
            SharedError: when Redis does not serve, so that the others cannot be told.

        """
        await self._shared.announce(service_sid, self._read_limit)
        await self.sync()
        try:
            return await self.refresh(service_sid)
        finally:
            await self._hold_turn(service_sid, WATCH_EVERY)

    async def sync(self) -> None:
        """Take over what other workers have read, and store again what Redis has lost."""
        if not self._memory.held:
            return
        async with self._following:
            try:
                standings = await self._shared.standings(list(self._memory.held))
                for held, standing in zip(self._memory.held.values(), standings, strict=True):
                    await self._follow(held, standing)
                await self._shared_cordons.sync()
                if self._beside is not None:
                    await self._beside()
            except SharedStateError as error:
                self._set_error(str(error))
            else:
                self._set_error(None)

    async def watch(self) -> None:
        """Do what is due every second: follow, look at the ages, report."""
        await self.sync()
        self._memory.look_at_ages()
        self.cordons.recheck()
        self._report(self.statuses())

    async def take_turn(self, service_sid: str) -> float:
        """Read Twilio if that is due and no other worker does; return the seconds to the next turn."""
        held = self._memory.held[service_sid]
        due = held.due_in(self._clock())
        if due > 0:
            return due
        if not await self._may_read(held):
            return WATCH_EVERY * 2
        try:
            await self.refresh(service_sid)
        except PoolReadError:
            delay = held.retry_in(await self._count_failure(service_sid))
            await self._hold_turn(service_sid, delay * 0.8)
            return delay
        await self._release(service_sid)
        return held.source.refresh_after

    async def _follow(self, held: ServiceState, standing: StoredState) -> None:
        known, mark = held.snapshot, standing.mark
        if known is not None and mark is not None and mark.version == known.version:
            held.confirm(mark.read_at, self._clock())
            held.changes = max(held.changes, mark.changes)
        elif known is not None and (mark is None or mark.rank < held.rank):
            await self._shared.publish(known, await asyncio.to_thread(known.to_bytes), held.changes)
        elif mark is not None and mark.version != held.unreadable:
            await self._adopt(held, mark)
        held.note_change(standing.changes)

    async def _adopt(self, held: ServiceState, mark: SnapshotVersion) -> None:
        stored = await self._shared.fetch(held.source.service_sid)
        if stored is None:
            return
        try:
            snapshot, pool = await asyncio.to_thread(decode_snapshot, stored)
        except SnapshotError as error:
            held.unreadable = mark.version
            log.warning("%s: %s", held.source.service_sid, error)
            return
        self._memory.install(held, snapshot.confirmed(mark.read_at), pool, Origin.STORED, mark.changes)
        held.tried.set()

    async def _read(self, held: ServiceState) -> Snapshot:
        changes = await self._announced(held)
        snapshot, pool = await read_with_timeout(held, self._clock(), self._read_limit)
        verdict = await self._publish(snapshot, changes, changed=pool is not None)
        self._memory.install(held, snapshot, pool, Origin.TWILIO, changes)
        if verdict is not StoreResult.STORED:
            await self.sync()  # somebody has stored what was read later, or Redis has lost everything
        return held.snapshot or snapshot

    async def _announced(self, held: ServiceState) -> int:
        """Return how many changes were announced before a reading begins."""
        if not self.trouble:
            with contextlib.suppress(SharedStateError):
                (standing,) = await self._shared.standings([held.source.service_sid])
                held.note_change(standing.changes)
        return held.announced

    async def _publish(self, snapshot: Snapshot, changes: int, *, changed: bool) -> StoreResult:
        """Store the reading; if Redis is away, ``follow`` does it on its return."""
        if self.trouble:
            return StoreResult.STORED
        try:
            if not changed:
                return await self._shared.confirm(snapshot, changes)
            return await self._shared.publish(snapshot, await asyncio.to_thread(snapshot.to_bytes), changes)
        except SharedStateError as error:
            self._set_error(str(error))
            return StoreResult.STORED

    async def _may_read(self, held: ServiceState) -> bool:
        """Ask Redis whose turn it is; without Redis every worker reads for itself."""
        if self.trouble:
            return True
        try:
            return await self._shared.acquire_refresh_lock(
                held.source.service_sid, self._read_limit + WATCH_EVERY
            )
        except SharedStateError as error:
            self._set_error(str(error))
            return True

    async def _release(self, service_sid: str) -> None:
        """Let others have their turn, once they have had the time to see what was read."""
        await self._hold_turn(service_sid, WATCH_EVERY * 3)
        if not self.trouble:
            with contextlib.suppress(SharedStateError):
                await self._shared.forget_failures(service_sid)

    async def _hold_turn(self, service_sid: str, seconds: float) -> None:
        if not self.trouble:
            with contextlib.suppress(SharedStateError):
                await self._shared.extend_refresh_lock(service_sid, seconds)

    async def _count_failure(self, service_sid: str) -> int:
        """Return how many readings in a row have failed anywhere, as far as that is known."""
        if not self.trouble:
            with contextlib.suppress(SharedStateError):
                return await self._shared.count_failure(service_sid)
        return 0

    def _set_error(self, sentence: str | None) -> None:
        if sentence and not self.trouble:
            log.warning("%s; senders are kept in memory only", sentence)
        elif self.trouble and not sentence:
            log.info("Redis holds the senders again")
        self.trouble = sentence
