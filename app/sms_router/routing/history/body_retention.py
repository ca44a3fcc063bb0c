"""What was said goes earlier than the rest of a message's story, where ``body_retention_days`` says so.

Nothing of it is on the way of a message: workers look through the journals in the background, each from
where the last one ended.
"""

from __future__ import annotations

import asyncio
import logging

from sms_router.store.errors import ScriptFailedError, StoreUnavailableError
from sms_router.store.keys import ALL_BUCKETS, Bucket
from sms_router.store.scripts import BODY_RETENTION
from sms_router.store.store import Store
from sms_router.tasks import cancel_and_wait
from sms_router.twilio.twiml import EMPTY

log = logging.getLogger("sms_router.retention")

EVERY = 60.0
"""Seconds between two looks at all journals."""

AT_ONCE = 50
"""Messages of one script run: Redis serves nobody else meanwhile."""

KEPT_PARAMETERS = (
    "MessageSid",
    "AccountSid",
    "MessagingServiceSid",
    "From",
    "To",
    "NumMedia",
    "NumSegments",
    "FromCountry",
    "OptOutType",
)
"""Of a request, what says who texted whom, and not what."""


class BodyRetention:
    """Takes texts out of old records; one in each worker."""

    def __init__(self, store: Store, days: float, retention_days: float) -> None:
        """Keep texts for ``days``; the rest of a record lives as long as the journal."""
        self._store = store
        self._kept = int(days * 86_400_000)
        self._retention = int(retention_days * 86_400_000)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run(), name="body-retention")

    async def aclose(self) -> None:
        """Stop looking; what is left is another worker's, or the next start's."""
        await cancel_and_wait(self._task)

    async def sweep(self) -> int:
        """Look through all journals once; return how many messages were due.

        Raises:
            StoreUnavailableError: when Redis does not serve.

        """
        due = 0
        for bucket in ALL_BUCKETS:
            while (looked := await self._take_out(bucket)) > 0:
                due += looked
        return due

    async def _take_out(self, bucket: Bucket) -> int:
        looked: int = await self._store.run(
            BODY_RETENTION,
            (bucket.journal, bucket.bodies_removed),
            (
                self._kept,
                AT_ONCE,
                bucket.message(""),
                EMPTY,
                f" {' '.join(KEPT_PARAMETERS)} ",
                self._retention,
            ),
        )
        return looked

    async def _run(self) -> None:
        while True:
            try:
                if due := await self.sweep():
                    log.info("took the texts out of %d messages", due)
            except ScriptFailedError as error:
                log.error("texts could not be taken out of old messages: %s", error)
            except StoreUnavailableError:
                pass  # the next look may find it back
            await asyncio.sleep(EVERY)
