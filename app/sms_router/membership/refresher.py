"""Background refresh of the Sender Pools, and bounded readings of Twilio."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

from sms_router.membership.service_state import MAX_RETRY_DELAY, ServiceState, log
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.snapshot_store import SharedStateError, SnapshotStore
from sms_router.membership.source import PoolReadError, ServiceSource
from sms_router.senders.pool import Pool
from sms_router.tasks import PeriodicTask, cancel_and_wait
from sms_router.twilio.rest import ApiFailure, FailureKind

RESUBSCRIBE_INTERVAL = 1.0
"""Seconds until a lost subscription is renewed; `WATCH_INTERVAL` covers the time until then."""
WATCH_INTERVAL = 1.0
"""Seconds between two reads of the versions in Redis, in case an announcement was lost."""

Sleep = Callable[[float], Coroutine[Any, Any, object]]


class Refresher:
    """The background tasks of one worker: one for each Service, one that watches, one that subscribes.

    Args:
        services: by sid.
        store: announces the changes of other workers.
        refresh_if_due: reads a Service from Twilio; returns the seconds until it is called again.
        watch: called every `WATCH_INTERVAL`.
        sync: called after each announcement.
        sleep: replaces `asyncio.sleep` in tests.

    """

    def __init__(
        self,
        services: Mapping[str, ServiceState],
        store: SnapshotStore,
        *,
        refresh_if_due: Callable[[str], Awaitable[float]],
        watch: Callable[[], Awaitable[None]],
        sync: Callable[[], Awaitable[None]],
        sleep: Sleep,
    ) -> None:
        self._services = services
        self._store = store
        self._refresh_if_due = refresh_if_due
        self._sync = sync
        self._sleep = sleep
        self._watch = PeriodicTask("membership-watch", WATCH_INTERVAL, watch, wait_first=True, sleep=sleep)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the tasks; without Services there are none."""
        if not self._services:
            return
        for sid, service in self._services.items():
            self._tasks.append(asyncio.create_task(self._refresh_forever(service), name=f"membership-{sid}"))
        self._watch.start()
        self._tasks.append(asyncio.create_task(self._subscribe_forever(), name="membership-subscribe"))

    async def aclose(self) -> None:
        """Cancel the tasks and wait for their end."""
        await self._watch.aclose()
        await cancel_and_wait(*self._tasks)
        self._tasks = []

    async def _refresh_forever(self, service: ServiceState) -> None:
        while True:
            service.wakeup.clear()
            try:
                delay = await self._refresh_if_due(service.source.service_sid)
            except Exception:
                log.exception("the senders of %s could not be refreshed", service.source.service_sid)
                delay = MAX_RETRY_DELAY
            jitter = random.uniform(0.9, 1.1)  # noqa: S311 - spreads the load, protects nothing
            await self._sleep_until_wakeup(service, delay * jitter)

    async def _sleep_until_wakeup(self, service: ServiceState, seconds: float) -> None:
        waits = [asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(service.wakeup.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(*waits)

    async def _subscribe_forever(self) -> None:
        while True:
            try:
                await self._store.listen(self._sync)
            except SharedStateError:
                await self._sleep(RESUBSCRIBE_INTERVAL)
            except Exception:
                log.exception("the subscription to changes failed; trying again")
                await self._sleep(RESUBSCRIBE_INTERVAL)


async def read_with_timeout(
    service: ServiceState, now: float, read_timeout: float
) -> tuple[Snapshot, Pool | None]:
    """Read a Service from Twilio in a thread; the pool is None when its content has not changed.

    A thread cannot be stopped: a reading that exceeds ``read_timeout`` (seconds) goes on, and no other one
    starts beside it.

    Raises:
        PoolReadError: when Twilio failed or was too slow.

    """
    if service.reading is not None and not service.reading.done():
        raise _too_slow(service, "the reading before has not returned yet")
    reading = asyncio.ensure_future(asyncio.to_thread(_read, service.source, now, service.snapshot))
    reading.add_done_callback(_retrieve_exception)
    service.reading = reading
    try:
        async with asyncio.timeout(read_timeout):
            return await asyncio.shield(reading)
    except TimeoutError as error:
        raise _too_slow(service, f"Twilio's API took longer than {read_timeout:g} s") from error


def decode_snapshot(stored: bytes) -> tuple[Snapshot, Pool]:
    """Decode and index a stored snapshot; blocks. Raises `SnapshotError`."""
    snapshot = Snapshot.from_bytes(stored)
    return snapshot, snapshot.pool()


def _read(source: ServiceSource, now: float, known: Snapshot | None) -> tuple[Snapshot, Pool | None]:
    snapshot = source.read(now)
    if known is not None and snapshot.same_content(known):
        return replace(known, read_at=now), None
    snapshot = replace(snapshot, version=max(snapshot.version, known.version + 1 if known else 1))
    return snapshot, snapshot.pool()


def _retrieve_exception(reading: asyncio.Future[tuple[Snapshot, Pool | None]]) -> None:
    # After a timeout nobody awaits the reading, and asyncio logs an exception that is never retrieved.
    if not reading.cancelled():
        reading.exception()


def _too_slow(service: ServiceState, sentence: str) -> PoolReadError:
    failure = ApiFailure(FailureKind.UNAVAILABLE, None, None, sentence)
    return PoolReadError(service.source.service_sid, failure)
