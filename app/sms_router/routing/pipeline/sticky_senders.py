"""Which of several equal numbers each person was answered from last, so that they keep it.

Twilio's own Sticky Sender begins with the first message, not with its receipt (facts 5.2). What is chosen
here is written to Redis beside the answer, in no message's way; until it is there, and while Redis is
away, this worker remembers it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable

from sms_router.store.keys import bucket_of
from sms_router.store.scripts import HEARD
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.tasks import cancel_and_wait

log = logging.getLogger("sms_router.senders")

MOST_REMEMBERED = 10_000
"""People for whom each worker remembers it in memory."""

_MOST_WAITING = 10_000

Key = tuple[str, str]
"""Scope and person."""


class StickySenders:
    """One worker's part of it."""

    def __init__(
        self, journal: DurableWriter, lasting: Callable[[], int], clock: Callable[[], float] = time.time
    ) -> None:
        """``lasting`` says how many milliseconds it is kept; ``clock`` is in seconds since the epoch."""
        self._journal = journal
        self._lasting = lasting
        self._clock = clock
        self._lately: OrderedDict[Key, str] = OrderedDict()
        self._waiting: dict[Key, tuple[str, int]] = {}
        self._writing: asyncio.Task[None] | None = None

    def __bool__(self) -> bool:
        """Tell whether a number was chosen for anybody lately."""
        return bool(self._lately)

    def get(self, scope: str, person: str) -> str | None:
        """Return the number that this worker chose for them lately."""
        return self._lately.get((scope, person))

    def remember(self, scope: str, person: str, address: str) -> None:
        """Take note of a choice among equals."""
        key = (scope, person)
        self._lately[key] = address
        self._lately.move_to_end(key)
        if len(self._lately) > MOST_REMEMBERED:
            self._lately.popitem(last=False)
        if len(self._waiting) < _MOST_WAITING:
            self._waiting[key] = (address, int(self._clock() * 1000))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="last-senders")

    async def aclose(self) -> None:
        """Write what waits, for a while; then stop."""
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=1)
            await cancel_and_wait(self._writing)

    async def _write(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, {}
            found = await asyncio.gather(
                *(self._keep(key, *chosen) for key, chosen in taken.items()), return_exceptions=True
            )
            for error in filter(None, found):
                log.error("the last sender of a person could not be kept: %s", error)

    async def _keep(self, key: Key, address: str, at: int) -> None:
        scope, person = key
        await self._journal.write(
            HEARD, (bucket_of(person).person(scope, person),), (address, at, self._lasting())
        )
