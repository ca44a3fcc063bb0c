"""The senders of every Service in this worker's memory, kept fresh in the background."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from redis.asyncio import Redis

from app.membership.held import LAST_RETRY, Held, Origin, ServiceStatus, log
from app.membership.reading import read_bounded, restore
from app.membership.shared import Mark, SharedError, SharedSnapshots
from app.membership.snapshot import Snapshot, SnapshotError
from app.membership.source import MembershipError, ServiceSource
from app.senders.pool import Pool

WATCH_EVERY = 1.0
"""Seconds until a worker sees what another one has read."""
READ_LIMIT = 60.0
"""Seconds that one reading of Twilio may take, all pages together."""
STALE_AFTER = 3600.0
"""Seconds; the hard age."""

Sleep = Callable[[float], Awaitable[None]]


class Membership:
    """Snapshots of several Services side by side.

    Asking costs a dictionary look-up and never waits. Twilio, Redis, or both may be away: the
    last good snapshot stays, and with none ``pool_for`` says that nothing is known.
    """

    def __init__(
        self,
        sources: Iterable[ServiceSource],
        redis: Redis | None,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
        read_limit: float = READ_LIMIT,
        stale_after: float = STALE_AFTER,
    ) -> None:
        """Remember the Services; ``start`` fetches them. All times are in seconds."""
        self._held = {source.service_sid: Held(source) for source in sources}
        self._shared = SharedSnapshots(redis) if redis is not None else None
        self._clock = clock
        self._sleep = sleep
        self._read_limit = read_limit
        self._stale_after = stale_after
        self._tasks: list[asyncio.Task[None]] = []
        self._pools: Mapping[str, Pool] = MappingProxyType({})
        self.trouble: str | None = None
        """Why Redis does not serve, or None while it does."""

    @property
    def pools(self) -> Mapping[str, Pool]:
        """The pools by Service, replaced as a whole and never changed."""
        return self._pools

    def pool_for(self, service_sid: str | None, texted: str) -> Pool | None:
        """Return the pool of the message's Service, else of the Service that holds the texted number.

        None means that nothing is known: the answer leaves from the number that was texted.
        """
        pools = self._pools
        if service_sid is not None and service_sid in pools:
            return pools[service_sid]
        return next((pool for pool in pools.values() if pool.holds(texted)), None)

    def snapshot(self, service_sid: str) -> Snapshot | None:
        """Return all that is known about a Service, its numbers' own URLs too."""
        held = self._held.get(service_sid)
        return held.snapshot if held else None

    def statuses(self) -> tuple[ServiceStatus, ...]:
        """Return what probes and metrics tell, one for each Service."""
        now = self._clock()
        return tuple(held.status(now, self._stale_after) for held in self._held.values())

    async def start(self) -> None:
        """Take what Redis has, then begin to refresh; returns without waiting for Twilio."""
        await self.follow()
        self._tasks = [
            asyncio.create_task(self._keep(held), name=f"membership-{sid}")
            for sid, held in self._held.items()
        ]
        if self._shared is not None and self._held:
            self._tasks.append(asyncio.create_task(self._watch(), name="membership-watch"))

    async def settle(self, time_limit: float) -> None:
        """Wait until each Service is known or was tried once, at most so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(time_limit):
                for held in self._held.values():
                    await held.tried.wait()

    async def aclose(self) -> None:
        """Stop the background work."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def refresh(self, service_sid: str) -> Snapshot:
        """Read one Service from Twilio now, whoever's turn it is, and tell the other workers.

        Raises:
            KeyError: when the Service is not one of the configured ones.
            MembershipError: when Twilio cannot be read; what was known stays.

        """
        held = self._held[service_sid]
        try:
            snapshot = await self._read(held)
        except MembershipError as error:
            held.failed(str(error))
            raise
        held.succeeded()
        return snapshot

    async def follow(self) -> None:
        """Take over what other workers have read, and store again what Redis has lost."""
        if self._shared is None or not self._held:
            return
        try:
            marks = await self._shared.marks(list(self._held))
            for held, mark in zip(self._held.values(), marks, strict=True):
                await self._follow(held, mark, self._shared)
        except SharedError as error:
            self._troubled(str(error))
        else:
            self._troubled(None)

    async def _follow(self, held: Held, mark: Mark | None, shared: SharedSnapshots) -> None:
        known = held.snapshot
        if mark is not None and mark.version > held.version and mark.version != held.unreadable:
            await self._adopt(held, mark, shared)
        elif known is not None and (mark is None or mark.version < known.version):
            await shared.publish(known, await asyncio.to_thread(known.to_bytes))
        elif known is not None and mark is not None and mark.read_at > known.read_at:
            held.snapshot = replace(known, read_at=mark.read_at)

    async def _adopt(self, held: Held, mark: Mark, shared: SharedSnapshots) -> None:
        stored = await shared.fetch(held.source.service_sid)
        if stored is None:
            return
        try:
            snapshot, pool = await asyncio.to_thread(restore, stored)
        except SnapshotError as error:
            held.unreadable = mark.version
            log.warning("%s: %s", held.source.service_sid, error)
            return
        self._install(held, replace(snapshot, read_at=mark.read_at), pool, Origin.STORED)
        held.tried.set()

    async def _watch(self) -> None:
        while True:
            await self._sleep(WATCH_EVERY)
            try:
                await self.follow()
            except Exception:
                log.exception("the stored senders could not be followed; trying again")

    async def _keep(self, held: Held) -> None:
        while True:
            try:
                delay = await self.take_turn(held.source.service_sid)
            except Exception:
                log.exception("the senders of %s could not be refreshed", held.source.service_sid)
                delay = LAST_RETRY
            await self._sleep(delay * random.uniform(0.9, 1.1))  # noqa: S311 - spreads load, guards nothing

    async def take_turn(self, service_sid: str) -> float:
        """Read Twilio if that is due and no other worker does; return the seconds to the next turn."""
        held = self._held[service_sid]
        due = held.due_in(self._clock())
        if due > 0:
            return due
        if not await self._may_read(held):
            return WATCH_EVERY * 2
        try:
            await self.refresh(service_sid)
        except MembershipError:
            delay = held.retry_in()
            await self._hold_turn(held, delay * 0.8)
            return delay
        await self._hold_turn(held, WATCH_EVERY * 3)
        return held.source.refresh_after

    async def _may_read(self, held: Held) -> bool:
        """Ask Redis whose turn it is; without Redis every worker reads for itself."""
        if self._shared is None or self.trouble:
            return True
        try:
            return await self._shared.take_turn(held.source.service_sid, self._read_limit + WATCH_EVERY)
        except SharedError as error:
            self._troubled(str(error))
            return True

    async def _hold_turn(self, held: Held, seconds: float) -> None:
        if self._shared is not None and not self.trouble:
            with contextlib.suppress(SharedError):
                await self._shared.hold_turn(held.source.service_sid, seconds)

    async def _read(self, held: Held) -> Snapshot:
        snapshot, pool = await read_bounded(held, self._clock(), self._read_limit)
        if self._install(held, snapshot, pool, Origin.TWILIO):
            await self._tell(snapshot, changed=pool is not None)
        return held.snapshot or snapshot

    def _install(self, held: Held, snapshot: Snapshot, pool: Pool | None, origin: Origin) -> bool:
        """Put a snapshot in place, unless a newer one came while it was read."""
        if snapshot.version < held.version:
            return False
        held.snapshot, held.origin = snapshot, origin
        if pool is not None:
            self._pools = MappingProxyType({**self._pools, snapshot.service_sid: pool})
        return True

    async def _tell(self, snapshot: Snapshot, *, changed: bool) -> None:
        """Store the reading; if Redis is away, ``follow`` does it on its return."""
        if self._shared is None or self.trouble:
            return
        try:
            if changed:
                await self._shared.publish(snapshot, await asyncio.to_thread(snapshot.to_bytes))
            else:
                await self._shared.confirm(snapshot)
        except SharedError as error:
            self._troubled(str(error))

    def _troubled(self, sentence: str | None) -> None:
        if sentence and not self.trouble:
            log.warning("%s; senders are kept in memory only", sentence)
        elif self.trouble and not sentence:
            log.info("Redis holds the senders again")
        self.trouble = sentence
