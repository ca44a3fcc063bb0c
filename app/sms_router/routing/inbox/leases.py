"""Renews the leases on the messages that this worker has claimed; they expire when the worker dies."""

from __future__ import annotations

import asyncio
import logging
import time

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

    def __init__(self, store: Store, owner: bytes, seconds: float) -> None:
        """Create the renewer of leases of so many seconds; ``owner`` is the worker's name in its claims."""
        self.milliseconds = int(seconds * 1000)
        self._store = store
        self._owner = owner
        self._interval = seconds / RENEWALS_PER_LEASE
        self._leases: dict[str, tuple[bytes, float]] = {}
        self._paused_at = 0.0
        self._task = PeriodicTask("lease-renewer", self._interval, self._renew_all, wait_first=True)

    def start(self) -> None:
        self._paused_at = time.monotonic()
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
        lag = time.monotonic() - self._paused_at - self._interval
        if lag > LOOP_LAG_WARNING:
            log.warning(
                "the event loop was blocked for %.1f s by an async handler, and every message waited; make"
                " the handler a plain function, which runs in a thread",
                lag,
            )
        oldest = time.monotonic() - self._interval
        due = [(reference, *lease) for reference, lease in self._leases.items() if lease[1] <= oldest]
        try:
            await asyncio.gather(*(self._renew(*lease) for lease in due))
        finally:
            self._paused_at = time.monotonic()

    async def _renew(self, reference: str, record: bytes, since: float) -> None:
        try:
            renewed = await self._store.run(
                scripts.renew_lease(message=record, owner=self._owner, lease_ms=self.milliseconds)
            )
        except StoreUnavailableError:
            return  # renewed in the next run, if the lease has not expired by then
        if renewed == 0 and self._leases.get(reference) == (record, since):
            del self._leases[reference]  # another worker has claimed the message
