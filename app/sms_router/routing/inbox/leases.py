"""The leases on the messages that this worker has claimed: they live while the worker does (design 2)."""

from __future__ import annotations

import asyncio
import logging
import time

from sms_router.store.errors import StoreUnavailableError
from sms_router.store.scripts import RENEW
from sms_router.store.store import Store
from sms_router.tasks import cancel_and_wait

log = logging.getLogger("sms_router.record")

LOOP_LAG_WARNING = 0.5
"""Seconds that the loop may be late before it is told."""

RENEWALS = 3
"""How many times a lease is renewed in its own length, so that one or two may fail."""


class LeaseRenewer:
    """Renews what has been in work for a while; most messages are answered long before."""

    def __init__(self, store: Store, owner: bytes, seconds: float) -> None:
        """Hold leases of this length in the name of ``owner``."""
        self.milliseconds = int(seconds * 1000)
        self._store = store
        self._owner = owner
        self._every = seconds / RENEWALS
        self._held: dict[str, tuple[bytes, float]] = {}
        self._renewer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to renew."""
        self._renewer = asyncio.create_task(self._renew_all(), name="lease-renewer")

    async def aclose(self) -> None:
        """Stop renewing: the leases die."""
        await cancel_and_wait(self._renewer)

    def add(self, reference: str, record: bytes, since: float) -> None:
        """Renew the lease on a message that was asked for at ``since``, by the monotonic clock."""
        self._held[reference] = (record, since)

    def discard(self, reference: str) -> None:
        """Stop renewing, whatever the outcome."""
        self._held.pop(reference, None)

    async def _renew_all(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(self._every)
            if (held_up := time.monotonic() - began - self._every) > LOOP_LAG_WARNING:
                log.warning(
                    "the event loop was held up for %.1f s: an async handler blocks it, and everybody "
                    "waits; make it a plain function, which runs in a thread", held_up,
                )  # fmt: skip
            old = time.monotonic() - self._every
            leases = [(reference, *lease) for reference, lease in self._held.items() if lease[1] <= old]
            await asyncio.gather(*(self._renew(*lease) for lease in leases))

    async def _renew(self, reference: str, record: bytes, since: float) -> None:
        try:
            renewed = await self._store.run(RENEW, (record,), (self._owner, self.milliseconds))
        except StoreUnavailableError:
            return  # the next round may find it alive
        if renewed == 0 and self._held.get(reference) == (record, since):
            del self._held[reference]  # somebody took it over
