"""Finds messages that a worker claimed and did not answer, and has them answered by REST.

It runs in the background, off the hot path. Workers share the progress through each journal in Redis.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from sms_router.store import scripts
from sms_router.store.errors import ScriptFailedError, StoreUnavailableError
from sms_router.store.keys import ALL_BUCKETS
from sms_router.store.store import Store
from sms_router.tasks import PeriodicTask

log = logging.getLogger("sms_router.abandoned")

ABANDONED_AFTER = 60.0
"""Seconds from the end of a lease until its message counts as abandoned. Twilio waits 15 s for an answer, and
as long again for that of the fallback URL."""

SWEEP_INTERVAL = 10.0
"""Seconds between two sweeps of all journals."""

BATCH = 100
"""Messages per run of the script, during which Redis executes nothing else."""

MAX_TRIES = 3
"""Sweeps that have a message answered; then it is a dead letter."""

CAUSE = "abandoned: the worker that claimed it was lost, and it has no answer"


class AbandonedMessages(PeriodicTask):
    """Has abandoned messages answered, or makes dead letters of them; one in each worker.

    ``answer`` answers a message, given its request; the handler runs again from the outbox.
    ``retention_days`` is the age at which a record is deleted. After ``max_age`` seconds a message is not
    answered any more; ``after`` counts from the end of a lease.
    """

    def __init__(
        self,
        store: Store,
        answer: Callable[[bytes], Awaitable[object]],
        retention_days: float,
        max_age: float,
        after: float = ABANDONED_AFTER,
    ) -> None:
        super().__init__("abandoned-messages", SWEEP_INTERVAL, self._sweep_and_log, wait_first=True)
        self._store = store
        self._answer = answer
        self._max_age_ms = int(max_age * 1000)
        self._retention_ms = int(retention_days * 86_400_000)
        self._after_ms = int(after * 1000)

    async def sweep(self) -> list[str]:
        """Have messages answered; return the references of those that are dead letters from now on."""
        lost: list[str] = []
        for bucket in ALL_BUCKETS:
            handled = BATCH
            while handled == BATCH:
                call = scripts.record_abandoned(
                    bucket,
                    abandoned_ms=self._after_ms,
                    count=BATCH,
                    retention_ms=self._retention_ms,
                    cause=CAUSE,
                    max_tries=MAX_TRIES,
                    max_age_ms=self._max_age_ms,
                )
                handled, requests, references = await self._store.run(call)
                for request in requests:
                    await self._answer(request)
                lost += (reference.decode() for reference in references)
        return lost

    async def _sweep_and_log(self) -> None:
        try:
            for reference in await self.sweep():
                log.error("%s was never answered: its worker was lost; see messages --failed", reference)
        except ScriptFailedError as error:
            log.error("abandoned messages could not be recorded: %s", error)
        except StoreUnavailableError:
            pass  # the connection logs the outage, and the next sweep continues
