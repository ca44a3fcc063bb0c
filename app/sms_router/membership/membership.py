"""The Sender Pools of all configured Services in one worker, kept fresh from Twilio and Redis."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import KW_ONLY, InitVar, dataclass, field
from types import MappingProxyType
from typing import Any

from redis.asyncio import Redis

from sms_router.membership.service_state import (
    MAX_RETRY_DELAY,
    ServiceState,
    ServiceStatus,
    SnapshotOrigin,
    log,
)
from sms_router.membership.snapshot import Snapshot, SnapshotError, decode_snapshot
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
from sms_router.senders.models import Tenancy
from sms_router.senders.pool import Pool, find_pool
from sms_router.tasks import PeriodicTask, cancel_and_wait
from sms_router.twilio.webhook_url import NumberUrls

RESUBSCRIBE_INTERVAL = 1.0
"""Seconds until a lost subscription is renewed; `WATCH_INTERVAL` covers the time until then."""
WATCH_INTERVAL = 1.0
"""Seconds between two reads of the versions in Redis, in case an announcement was lost."""
READ_TIMEOUT = 60.0
"""Seconds for one reading of a Service from Twilio, all pages together."""
STALE_AFTER = 3600.0
"""Seconds, the hard age: older pools are still used, and reported as stale."""

Sleep = Callable[[float], Coroutine[Any, Any, object]]


@dataclass(eq=False)
class Membership:
    """Snapshots and Sender Pools of several Services. Only the event loop calls it.

    `pool_for` costs a dictionary look-up and never waits. While Twilio or Redis or both are down the last
    good snapshots stay in use.
    """

    sources: InitVar[Iterable[ServiceSource]]
    """The Services, and how each is read from Twilio."""
    redis: InitVar[Redis]
    """Where all workers share snapshots."""
    _: KW_ONLY
    clock: Callable[[], float] = time.time
    """Returns the seconds since the epoch."""
    sleep: Sleep = asyncio.sleep
    read_timeout: float = READ_TIMEOUT
    stale_after: float = STALE_AFTER
    extra_sync: Callable[[], Awaitable[None]] | None = None
    """Reads other state of the senders from Redis; it raises `SharedStateError` when Redis is unavailable."""
    tenancy: Tenancy | None = None
    """Which account owns what; None where there is one account."""
    own_numbers: dict[str, str] = field(default_factory=dict)
    """The account of each number of the pools and their accounts; the mapping stays the same object."""
    pools: Mapping[str, Pool] = field(default_factory=lambda: MappingProxyType({}), init=False)
    """By Service, in a mapping that is replaced as a whole."""
    redis_error: str | None = field(default=None, init=False)
    """Why Redis is unavailable; None while it is available."""
    _stale: frozenset[str] = field(default=frozenset(), init=False)

    def __post_init__(self, sources: Iterable[ServiceSource], redis: Redis) -> None:
        self.cordons = Cordons(self.clock)
        self._services = {source.service_sid: ServiceState(source) for source in sources}
        self._store = SnapshotStore(redis)
        self._cordon_sync = CordonSync(redis, self.cordons)
        self._sync_lock = asyncio.Lock()
        self._watch = PeriodicTask(
            "membership-watch", WATCH_INTERVAL, self.watch, wait_first=True, sleep=self.sleep
        )
        self._subscription = PeriodicTask(
            "membership-subscribe", RESUBSCRIBE_INTERVAL, self._listen, sleep=self.sleep
        )
        self._refreshing: list[asyncio.Task[None]] = []

    def pool_for(self, service_sid: str | None, texted: str, account_sid: str = "") -> Pool | None:
        """Return the pool of the message's Service, else of the Service that holds the texted number.

        None means that the pool is unknown, or of another account than the message's; then a reply leaves
        from the texted number. Without an account every pool counts.
        """
        tenancy = self.tenancy
        if tenancy is not None and account_sid and tenancy.is_foreign(account_sid, service_sid, texted):
            return None
        pool = find_pool(self.pools, service_sid, texted)
        if self._stale and pool is not None and pool.service_sid in self._stale:
            self._services[pool.service_sid].stale_uses += 1
        return pool

    def snapshot(self, service_sid: str) -> Snapshot | None:
        service = self._services.get(service_sid)
        return service.snapshot if service else None

    def number_urls(self, service_sid: str, sid: str) -> NumberUrls | None:
        snapshot = self.snapshot(service_sid)
        return snapshot.number_urls.get(sid) if snapshot is not None else None

    def statuses(self) -> tuple[ServiceStatus, ...]:
        now = self.clock()
        return tuple(service.status(now, self.stale_after) for service in self._services.values())

    async def start(self) -> None:
        """Read the snapshots in Redis and start the background tasks; does not wait for Twilio."""
        await self.sync()
        for sid, service in self._services.items():
            self._refreshing.append(
                asyncio.create_task(self._refresh_forever(service), name=f"membership-{sid}")
            )
        if self._services:
            self._watch.start()
            self._subscription.start()

    async def wait_until_read(self, max_seconds: float) -> None:
        """Wait until each Service has a snapshot or one failed reading, for a limited time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max_seconds):
                for service in self._services.values():
                    await service.was_tried.wait()

    async def aclose(self) -> None:
        await self._watch.aclose()
        await self._subscription.aclose()
        await cancel_and_wait(*self._refreshing)

    async def refresh(self, service_sid: str) -> Snapshot:
        """Read one Service from Twilio now, without the lock, and publish it to the other workers.

        Raises:
            KeyError: when the Service is not configured.
            PoolReadError: when Twilio cannot be read; the snapshot before stays.

        """
        service = self._services[service_sid]
        try:
            snapshot = await self._read(service)
        except PoolReadError as error:
            service.record_failure(str(error))
            raise
        service.record_success()
        return snapshot

    async def refresh_after_change(self, service_sid: str) -> Snapshot:
        """Read a Service that was just changed at Twilio.

        The change is announced first, so that another worker reads the Service when this process ends or
        cannot read it.

        Raises:
            PoolReadError: as `refresh`.
            SharedStateError: when Redis is unavailable, so that the change cannot be announced.

        """
        await self._store.announce(service_sid, self.read_timeout)
        await self.sync()
        try:
            return await self.refresh(service_sid)
        finally:
            await self._extend_lock(service_sid, WATCH_INTERVAL)

    async def refresh_if_due(self, service_sid: str) -> float:
        """Read a Service from Twilio if due and no other worker does; return seconds to the next call."""
        service = self._services[service_sid]
        due_in = service.due_in(self.clock())
        if due_in > 0:
            return due_in
        if not await self._acquire_lock(service):
            return WATCH_INTERVAL * 2
        try:
            await self.refresh(service_sid)
        except PoolReadError:
            delay = service.retry_delay(await self._count_failure(service_sid))
            await self._extend_lock(service_sid, delay * 0.8)
            return delay
        # The lock stays until the other workers have had time to see the new snapshot.
        await self._extend_lock(service_sid, WATCH_INTERVAL * 3)
        if not self.redis_error:
            with contextlib.suppress(SharedStateError):
                await self._store.reset_failures(service_sid)
        return service.source.refresh_after

    async def sync(self) -> None:
        """Read what other workers have stored in Redis, and store again what Redis has lost."""
        if not self._services:
            return
        async with self._sync_lock:
            try:
                states = await self._store.load_states(list(self._services))
                for service, state in zip(self._services.values(), states, strict=True):
                    await self._sync_service(service, state)
                await self._cordon_sync.sync()
                if self.extra_sync is not None:
                    await self.extra_sync()
            except SharedStateError as error:
                self._set_redis_error(str(error))
            else:
                self._set_redis_error(None)

    async def watch(self) -> None:
        """Do what is due every second: sync with Redis, find stale pools."""
        await self.sync()
        self._find_stale()
        self.cordons.recheck()

    async def _refresh_forever(self, service: ServiceState) -> None:
        while True:
            service.wakeup.clear()
            try:
                delay = await self.refresh_if_due(service.source.service_sid)
            except Exception:
                log.exception("the senders of %s could not be refreshed", service.source.service_sid)
                delay = MAX_RETRY_DELAY
            jitter = random.uniform(0.9, 1.1)  # noqa: S311 - spreads the load, protects nothing
            await self._sleep_until_wakeup(service, delay * jitter)

    async def _sleep_until_wakeup(self, service: ServiceState, seconds: float) -> None:
        waits = [asyncio.ensure_future(self.sleep(seconds)), asyncio.ensure_future(service.wakeup.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(*waits)

    async def _listen(self) -> None:
        with contextlib.suppress(SharedStateError):
            await self._store.listen(self.sync)

    async def _sync_service(self, service: ServiceState, state: StoredState) -> None:
        known, stored = service.snapshot, state.version
        if known is not None and stored is not None and stored.version == known.version:
            service.confirm(stored.read_at, self.clock())
            service.changes = max(service.changes, stored.changes)
        elif known is not None and (stored is None or stored.rank < service.rank):
            await self._store.publish(known, await asyncio.to_thread(known.to_bytes), service.changes)
        elif stored is not None and stored.version != service.unreadable_version:
            await self._load(service, stored)
        service.note_changes(state.changes)

    async def _load(self, service: ServiceState, stored: SnapshotVersion) -> None:
        content = await self._store.fetch(service.source.service_sid)
        if content is None:
            return
        try:
            snapshot, pool = await asyncio.to_thread(decode_snapshot, content)
        except SnapshotError as error:
            service.unreadable_version = stored.version
            log.warning("%s: %s", service.source.service_sid, error)
            return
        self._install(
            service, snapshot.confirmed(stored.read_at), pool, SnapshotOrigin.STORED, stored.changes
        )
        service.was_tried.set()

    async def _read(self, service: ServiceState) -> Snapshot:
        changes = await self._count_changes(service)
        snapshot, pool = await service.read(self.clock(), self.read_timeout)
        result = await self._publish(snapshot, changes, is_new=pool is not None)
        self._install(service, snapshot, pool, SnapshotOrigin.TWILIO, changes)
        if result is not StoreResult.STORED:
            await self.sync()  # Redis has a later snapshot, or has lost its data
        return service.snapshot or snapshot

    def _install(
        self,
        service: ServiceState,
        snapshot: Snapshot,
        pool: Pool | None,
        origin: SnapshotOrigin,
        changes: int,
    ) -> None:
        """Replace a Service's snapshot, unless a later one is there; its pool stays when ``pool`` is None."""
        if (changes, snapshot.version) < service.rank:
            return
        service.snapshot, service.origin, service.changes = snapshot, origin, changes
        if pool is not None:
            self.pools = MappingProxyType({**self.pools, snapshot.service_sid: pool})
            self.own_numbers.clear()
            for known in self._services.values():
                if known.snapshot is not None:
                    members = (sender.address for sender in known.snapshot.senders)
                    numbers = (*members, *known.snapshot.account_numbers)
                    self.own_numbers.update(dict.fromkeys(numbers, known.snapshot.account_sid))
        self._find_stale()

    def _find_stale(self) -> None:
        """Find the Services that are past the hard age, so that `pool_for` need not read the clock."""
        now = self.clock()
        self._stale = frozenset(
            sid for sid, service in self._services.items() if service.is_stale(now, self.stale_after)
        )

    async def _count_changes(self, service: ServiceState) -> int:
        """Return how many changes were announced before a reading begins."""
        if not self.redis_error:
            with contextlib.suppress(SharedStateError):
                (state,) = await self._store.load_states([service.source.service_sid])
                service.note_changes(state.changes)
        return service.announced_changes

    async def _publish(self, snapshot: Snapshot, changes: int, *, is_new: bool) -> StoreResult:
        """Store a snapshot in Redis; while Redis is unavailable, `sync` does it later."""
        if self.redis_error:
            return StoreResult.STORED
        encoded = await asyncio.to_thread(snapshot.to_bytes) if is_new else b""
        try:
            return await self._store.publish(snapshot, encoded, changes)
        except SharedStateError as error:
            self._set_redis_error(str(error))
            return StoreResult.STORED

    async def _acquire_lock(self, service: ServiceState) -> bool:
        """Return whether this worker may read Twilio; without Redis every worker may."""
        if self.redis_error:
            return True
        try:
            return await self._store.acquire_refresh_lock(
                service.source.service_sid, self.read_timeout + WATCH_INTERVAL
            )
        except SharedStateError as error:
            self._set_redis_error(str(error))
            return True

    async def _extend_lock(self, service_sid: str, seconds: float) -> None:
        if not self.redis_error:
            with contextlib.suppress(SharedStateError):
                await self._store.extend_refresh_lock(service_sid, seconds)

    async def _count_failure(self, service_sid: str) -> int:
        """Return the number of failed readings in a row of all workers; zero when it is unknown."""
        if not self.redis_error:
            with contextlib.suppress(SharedStateError):
                return await self._store.count_failure(service_sid)
        return 0

    def _set_redis_error(self, sentence: str | None) -> None:
        if sentence and not self.redis_error:
            log.warning("%s; the Sender Pools are kept in memory only", sentence)
        elif self.redis_error and not sentence:
            log.info("Redis is available again; the workers share the Sender Pools")
        self.redis_error = sentence
