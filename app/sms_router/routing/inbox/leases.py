"""Renews the leases on the messages that this worker has claimed; they expire when the worker dies."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

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


class LeaseRenewer:
    """Renews the claims that are older than one interval; most messages are answered long before."""

    def __init__(self, store: Store, owner: bytes, seconds: float, running_handlers: RunningHandlers) -> None:
        """Create the renewer of leases of so many seconds; ``owner`` is the worker's name in its claims."""
        self.milliseconds = int(seconds * 1000)
        self._store = store
        self._owner = owner
        self._interval = seconds / RENEWALS_PER_LEASE
        self._leases: dict[str, tuple[bytes, float]] = {}
        self._running_handlers = running_handlers
        self._paused_at = self._cpu_before = 0.0
        self._task = PeriodicTask("lease-renewer", self._interval, self._renew_all, wait_first=True)

    def start(self) -> None:
        self._paused_at, self._cpu_before = time.monotonic(), time.thread_time()
        self._task.start()

    async def aclose(self) -> None:
        """Stop renewing; the leases expire."""
        await self._task.aclose()

    def add(self, reference: str, record: bytes, since: float) -> None:
        """Renew the lease on a message that was claimed at ``since``, by the monotonic clock."""
        self._leases[reference] = (record, since)

    def discard(self, reference: str) -> None:
        self._leases.pop(reference, None)

    async def _renew_all(self) -> None:
        now = time.monotonic()
        lag = now - self._paused_at - self._interval
        if lag > LOOP_LAG_WARNING:
            handlers = self._running_handlers.since(now - lag)
            log.warning("%s", describe_lag(lag, time.thread_time() - self._cpu_before, handlers))
        oldest = time.monotonic() - self._interval
        due = [(reference, *lease) for reference, lease in self._leases.items() if lease[1] <= oldest]
        try:
            await asyncio.gather(*(self._renew(*lease) for lease in due))
        finally:
            self._paused_at, self._cpu_before = time.monotonic(), time.thread_time()

    async def _renew(self, reference: str, record: bytes, since: float) -> None:
        try:
            renewed = await self._store.run(
                scripts.renew_lease(message=record, owner=self._owner, lease_ms=self.milliseconds)
            )
        except StoreUnavailableError:
            return  # renewed in the next run, if the lease has not expired by then
        if renewed == 0 and self._leases.get(reference) == (record, since):
            del self._leases[reference]  # another worker has claimed the message


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
