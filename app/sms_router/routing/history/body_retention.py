"""Removes the texts from stored messages after ``body_retention_days``; the rest of a record stays longer.

It runs in the background, off the hot path. Workers share the progress through each journal in Redis.
"""

from __future__ import annotations

import logging

from sms_router.store import scripts
from sms_router.store.errors import ScriptFailedError, StoreUnavailableError
from sms_router.store.keys import ALL_BUCKETS
from sms_router.store.store import Store
from sms_router.tasks import PeriodicTask
from sms_router.twilio.twiml import EMPTY

log = logging.getLogger("sms_router.retention")

SWEEP_INTERVAL = 60.0
"""Seconds between two sweeps of all journals."""

BATCH = 50
"""Messages per run of the script, during which Redis executes nothing else."""

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
    "Direction",
    "Event",
    "At",
    "Key",
    "Requester",
)
"""The parameters of a request that stay in the record; they contain nothing that the contact wrote."""


class BodyRetention(PeriodicTask):
    """Removes texts from records, some days after their arrival; one in each worker.

    ``retention_days`` is the age at which a record is deleted.
    """

    def __init__(self, store: Store, days: float, retention_days: float) -> None:
        super().__init__("body-retention", SWEEP_INTERVAL, self._sweep_and_log)
        self._store = store
        self._max_age = int(days * 86_400_000)
        self._record_retention = int(retention_days * 86_400_000)

    async def sweep(self) -> int:
        """Remove the texts that are due in all journals, and return how many messages had any."""
        due = 0
        for bucket in ALL_BUCKETS:
            call = scripts.remove_bodies(
                bucket,
                body_retention_ms=self._max_age,
                count=BATCH,
                empty_answer=EMPTY,
                kept_parameters=f" {' '.join(KEPT_PARAMETERS)} ",
                retention_ms=self._record_retention,
            )
            while (removed := await self._store.run(call)) > 0:
                due += removed
        return due

    async def _sweep_and_log(self) -> None:
        try:
            if due := await self.sweep():
                log.info("removed the texts of %d messages", due)
        except ScriptFailedError as error:
            log.error("the texts of old messages could not be removed: %s", error)
        except StoreUnavailableError:
            pass  # the connection logs the outage, and the next sweep continues
