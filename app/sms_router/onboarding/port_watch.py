"""Advances the checklists of pending numbers in the background, so that one that turns live is used soon."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from sms_router.onboarding.checklist import Checklist
from sms_router.onboarding.porting_api import PortedNumber, fetch_ported_numbers
from sms_router.onboarding.progress import apply_progress
from sms_router.onboarding.repository import ConflictError, compare_and_set, load_state
from sms_router.senders.pending import PendingNumbers
from sms_router.senders.pool import Pool
from sms_router.store.keys import PORT_WATCH
from sms_router.store.redis_py import CLIENT_ERRORS, sync_client
from sms_router.store.server_clock import server_time
from sms_router.tasks import PeriodicTask
from sms_router.twilio.rest import ApiError

if TYPE_CHECKING:
    from twilio.rest import Client

log = logging.getLogger("sms_router.onboarding")

WATCH_INTERVAL, SANDBOX_WATCH_INTERVAL = 30.0, 2.0
"""Seconds between two readings of the port-in requests, from Twilio and from a sandbox."""

_LOCK_SHARE = 0.67
"""The part of an interval in which no other worker reads them."""


class PortWatch(PeriodicTask):
    """Reads the port-in requests of pending numbers from Twilio; one worker does it, for all.

    Without pending numbers it does nothing.

    Args:
        redis: shared by all workers.
        redis_url: of the same Redis, for a thread.
        pending: this worker's copy of the pending numbers.
        pools: returns the Sender Pools by the sid of their Service.
        client_for: returns the REST client for the account of a Service; None when it is not configured.
        interval: seconds between two readings.

    """

    def __init__(
        self,
        redis: AsyncRedis,
        redis_url: str,
        pending: PendingNumbers,
        pools: Callable[[], Mapping[str, Pool]],
        client_for: Callable[[str], Client | None],
        interval: float = WATCH_INTERVAL,
    ) -> None:
        super().__init__("port-watch", interval, self.refresh, wait_first=True)
        self._redis = redis
        self._redis_url = redis_url
        self._pending = pending
        self._pools = pools
        self._client_for = client_for

    async def refresh(self) -> None:
        """Advance the checklists once, unless another worker has just done it."""
        if not self._pending.numbers:
            return
        try:
            if await self._redis.set(PORT_WATCH, b"1", nx=True, px=int(1000 * _LOCK_SHARE * self.interval)):
                await asyncio.to_thread(self._refresh)
        except CLIENT_ERRORS as error:
            log.warning("the port-in requests were not read: Redis failed (%s)", type(error).__name__)

    def _refresh(self) -> None:
        with sync_client(self._redis_url, attempts=2) as redis:
            state, at = load_state(redis), server_time(redis)
            ports = self._read_ports(state.pending)
            for checklist in state.pending:
                port = ports.get(checklist.number)
                self._advance(redis, checklist, port, at, state.texted.get(checklist.number))

    def _advance(
        self, redis: Redis, seen: Checklist, port: PortedNumber | None, at: float, texted: float | None
    ) -> None:
        pool = self._pools().get(seen.service_sid)
        in_service = pool is not None and pool.holds(seen.number)

        def change(checklist: Checklist | None) -> Checklist | None:
            if checklist is None:
                return None
            return apply_progress(
                checklist.apply_silence(at),
                at,
                in_service=in_service,
                has_voice=False,
                texted=texted,
                port=port,
            )

        if change(seen) == seen:
            return
        try:
            after = compare_and_set(redis, seen.number, change)
        except ConflictError:
            log.warning("the checklist of %s is changed by others; it is read again later", seen.number)
            return
        if after is not None and after.history:
            log.info("%s: %s %s", after.number, after.history[-1].action, after.history[-1].detail)

    def _read_ports(self, pending: tuple[Checklist, ...]) -> dict[str, PortedNumber]:
        """Return the status of the numbers by their port-in requests, each of which is read once."""
        services = {
            checklist.request_sid: checklist.service_sid
            for checklist in pending
            if checklist.request_sid is not None
        }
        ports: dict[str, PortedNumber] = {}
        for request_sid, service_sid in services.items():
            client = self._client_for(service_sid)
            if client is None:
                continue
            try:
                ports |= fetch_ported_numbers(client, request_sid)
            except ApiError as error:
                log.warning("the port-in request %s could not be read: %s", request_sid, error)
        return ports
