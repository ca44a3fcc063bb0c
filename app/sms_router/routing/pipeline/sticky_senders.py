"""Which of several equal senders a worker chose for a contact, so that the contact keeps it (Sticky Sender).

Twilio's Sticky Sender begins with the first message, not with its receipt (facts 5.2). A choice is written to
Redis off the hot path; until it is there, and while Redis is away, this worker has it in memory.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable

from sms_router.store import scripts
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.tasks import cancel_and_wait

log = logging.getLogger("sms_router.senders")

MAX_RECENT = 10_000
MAX_UNWRITTEN = 10_000

Key = tuple[str, str]
"""Scope and contact."""


class StickySenders:
    """The senders that this worker chose lately.

    ``ttl`` returns the milliseconds for which they are kept in Redis, ``clock`` seconds since the epoch.
    """

    def __init__(
        self, journal: DurableWriter, ttl: Callable[[], int], clock: Callable[[], float] = time.time
    ) -> None:
        self._journal = journal
        self._ttl = ttl
        self._clock = clock
        self.recent: OrderedDict[Key, str] = OrderedDict()
        """The newest choices: addresses by scope and contact."""
        self._unwritten: dict[Key, tuple[str, int]] = {}
        self._writing: asyncio.Task[None] | None = None

    def remember(self, scope: str, contact: str, address: str) -> None:
        """Keep a choice, and start to write it."""
        key = (scope, contact)
        self.recent[key] = address
        self.recent.move_to_end(key)
        if len(self.recent) > MAX_RECENT:
            self.recent.popitem(last=False)
        if len(self._unwritten) < MAX_UNWRITTEN:
            self._unwritten[key] = (address, int(self._clock() * 1000))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="sticky-senders")

    async def aclose(self) -> None:
        """Write what is unwritten, for a second at most."""
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=1)
            await cancel_and_wait(self._writing)

    async def _write(self) -> None:
        while self._unwritten:
            choices, self._unwritten = self._unwritten, {}
            results = await asyncio.gather(
                *(self._write_one(key, *choice) for key, choice in choices.items()), return_exceptions=True
            )
            for error in filter(None, results):
                log.error("the sticky sender of a contact could not be written: %s", error)

    async def _write_one(self, key: Key, address: str, at: int) -> None:
        scope, contact = key
        call = scripts.set_sticky_sender(
            scope=scope, contact=contact, sender=address, chosen_at=at, ttl_ms=self._ttl()
        )
        await self._journal.write(call)
