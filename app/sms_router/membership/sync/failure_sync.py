"""Shares receipt counts between workers, so that all have the same warnings and one of them logs each."""

from __future__ import annotations

import contextlib
import json
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from sms_router.membership.snapshot_store import SharedStateError, redis_errors
from sms_router.senders.failure_monitor import FailureAlert, FailureMonitor, ReceiptCounts
from sms_router.store.keys import FAILURE_REPORTS, failure_alert
from sms_router.tasks import PeriodicTask

log = logging.getLogger("sms_router.membership")

SYNC_INTERVAL = 1.0
"""Seconds."""

MAX_STREAM_LENGTH = 10_000
MAX_ENTRIES_READ = 1000
MAX_COUNTS_WRITTEN = 500


class FailureSync(PeriodicTask):
    """Writes this worker's receipt counts to a stream in Redis, and reads those of the other workers.

    Args:
        redis: shared by all workers.
        failures: this worker's counts.
        clock: seconds since the epoch.

    """

    def __init__(self, redis: Redis, failures: FailureMonitor, clock: Callable[[], float]) -> None:
        super().__init__("failure-sync", SYNC_INTERVAL, self.sync, wait_first=True)
        self._redis = redis
        self._failures = failures
        self._clock = clock
        self._worker = uuid4().hex[:12]
        self._logged_ttl = int(failures.rule.window * 2000)
        """Milliseconds that a warning counts as logged; renewed while it lasts."""
        self._last_read = ""

    async def sync(self) -> None:
        """Exchange counts and log warnings; without Redis each worker logs its own."""
        try:
            await self._publish()
            while await self._consume():
                pass
        except SharedStateError:
            log.debug("receipt counts could not be exchanged; trying again")
        self._failures.update()
        for alert in self._failures.drain_alerts():
            if await self._is_first(alert):
                alert.log()
        with contextlib.suppress(SharedStateError):
            for failing in self._failures.failing()[:MAX_COUNTS_WRITTEN]:
                key = failure_alert(failing.sender, failing.error_class)
                async with redis_errors():
                    await self._redis.pexpire(key, self._logged_ttl)

    async def _publish(self) -> None:
        drained = self._failures.drain()
        if not drained:
            return
        written = dict(drained.most_common(MAX_COUNTS_WRITTEN))
        counts = [[*key, count] for key, count in written.items()]
        entry: dict[Any, Any] = {"who": self._worker, "seen": json.dumps(counts)}
        try:
            async with redis_errors():
                await self._redis.xadd(FAILURE_REPORTS, entry, maxlen=MAX_STREAM_LENGTH, approximate=True)
        except BaseException:
            self._failures.restore(drained)
            raise
        self._failures.restore(drained - Counter(written))  # the rest goes with the next entry

    async def _consume(self) -> bool:
        """Merge new entries; return whether there are more."""
        if not self._last_read:
            self._last_read = f"{int((self._clock() - self._failures.rule.window) * 1000)}-0"
        async with redis_errors():
            entries: Any = await self._redis.xrange(
                FAILURE_REPORTS, f"({self._last_read}", "+", count=MAX_ENTRIES_READ
            )
        for entry_id, fields in entries:
            self._last_read = entry_id.decode()
            if fields.get(b"who") != self._worker.encode():
                self._failures.merge(_decode(fields.get(b"seen", b"[]")))
        return len(entries) == MAX_ENTRIES_READ

    async def _is_first(self, alert: FailureAlert) -> bool:
        """Return whether no other worker has logged this begin or end."""
        key = failure_alert(alert.failing.sender, alert.failing.error_class)
        try:
            async with redis_errors():
                if alert.begins:
                    return bool(await self._redis.set(key, 1, nx=True, px=self._logged_ttl))
                return bool(await self._redis.delete(key))
        except SharedStateError:
            return True


def _decode(stored: bytes) -> ReceiptCounts:
    counts: ReceiptCounts = Counter()
    try:
        for sender, error_class, count in json.loads(stored):
            counts[str(sender), error_class if error_class is None else str(error_class)] += int(count)
    except (ValueError, TypeError):
        log.error("the receipt counts of another worker cannot be read")
    return counts
