"""Renews the leases on the messages that this worker has claimed; they expire when the worker ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sms_router.routing.handler.running_handlers import RunningHandlers
from sms_router.store import scripts
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.store import Store
from sms_router.tasks import PeriodicTask

log = logging.getLogger("sms_router.record")

LOOP_LAG_WARNING = 0.5
"""Seconds that the event loop may be late before it is logged."""

RENEWALS_PER_LEASE = 3
"""Two of them may fail without the lease being lost."""


@dataclass(frozen=True, slots=True, eq=False)
class Lease:
    """A claim that one request, or one late handler, holds. Only its holder releases it."""

    reference: str
    record: bytes
    """The message's key in Redis."""
    since: float
    """When it was claimed, by the monotonic clock."""


class LeaseRenewer:
    """Renews the claims that are older than one interval; most messages are answered long before."""

    def __init__(self, store: Store, owner: bytes, seconds: float, running_handlers: RunningHandlers) -> None:
        """Create the renewer of leases of so many seconds; ``owner`` is the worker's name in its claims."""
        self.milliseconds = int(seconds * 1000)
        self._store = store
        self._owner = owner
        self._interval = seconds / RENEWALS_PER_LEASE
        self._leases: dict[str, tuple[Lease, ...]] = {}
        """By message. A request and the late handler that it leaves behind hold one each for a moment."""
        self._running_handlers = running_handlers
        self._paused_at = self._cpu_before = 0.0
        self._task = PeriodicTask("lease-renewer", self._interval, self._renew_all, wait_first=True)

    def start(self) -> None:
        self._paused_at, self._cpu_before = time.monotonic(), time.thread_time()
        self._task.start()

    async def aclose(self) -> None:
        """Stop renewing; the leases expire."""
        await self._task.aclose()

    def add(self, reference: str, record: bytes, since: float) -> Lease:
        """Renew the lease on a message that was claimed at ``since``, by the monotonic clock."""
        lease = Lease(reference, record, since)
        self._leases[reference] = (*self._leases.get(reference, ()), lease)
        return lease

    def discard(self, lease: Lease) -> None:
        """Stop renewing a lease, unless another request in this worker holds the claim too."""
        others = tuple(other for other in self._leases.get(lease.reference, ()) if other is not lease)
        if others:
            self._leases[lease.reference] = others
        else:
            self._leases.pop(lease.reference, None)

    def is_held(self, reference: str) -> bool:
        """Return whether a request or a late handler of this worker holds the claim on a message."""
        return reference in self._leases

    async def _renew_all(self) -> None:
        now = time.monotonic()
        lag = now - self._paused_at - self._interval
        if lag > LOOP_LAG_WARNING:
            handlers = self._running_handlers.since(now - lag)
            log.warning("%s", describe_lag(lag, time.thread_time() - self._cpu_before, handlers))
        oldest = time.monotonic() - self._interval
        due = [leases for leases in self._leases.values() if any(lease.since <= oldest for lease in leases)]
        try:
            await asyncio.gather(*map(self._renew, due))
        finally:
            self._paused_at, self._cpu_before = time.monotonic(), time.thread_time()

    async def _renew(self, leases: tuple[Lease, ...]) -> None:
        call = scripts.renew_lease(message=leases[0].record, owner=self._owner, lease_ms=self.milliseconds)
        try:
            renewed = await self._store.run(call)
        except StoreUnavailableError:
            return  # renewed in the next run, if the lease has not expired by then
        if renewed == 0:  # another worker has claimed the message
            for lease in leases:
                self.discard(lease)


def describe_lag(lag: float, cpu_seconds: float, handlers: Sequence[str]) -> str:
    """Return what was observed when the event loop was late, and what helps.

    Args:
        lag: seconds.
        cpu_seconds: the processor time of the loop's thread since it was last on time.
        handlers: the async handlers that ran meanwhile.

    """
    late = f"the event loop was late by {lag:.1f} s"
    if handlers:
        return (
            f"{late} while {', '.join(handlers)} ran, and every message waited; an async handler that blocks "
            "must be a plain function, which runs in a thread"
        )
    if cpu_seconds >= lag / 2:
        return f"{late} and no async handler ran: the router itself computed for {cpu_seconds:.1f} s"
    return f"{late} and no async handler ran: the process had too little processor time, or was suspended"
