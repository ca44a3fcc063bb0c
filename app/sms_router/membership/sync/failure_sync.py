"""What receipts tell of each number, shared by all workers, so that a warning is said once for all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from sms_router.membership.keys import RECEIVED, warned_key
from sms_router.membership.refresher import Sleep
from sms_router.membership.snapshot_store import SharedStateError, redis_errors
from sms_router.senders.failure_monitor import Alert, FailureMonitor, ReceiptCounts
from sms_router.tasks import cancel_and_wait

log = logging.getLogger("sms_router.membership")

EXCHANGE_EVERY = 1.0
"""Seconds."""

_MOST_KEPT = 10_000
"""Entries of the stream; older ones make room."""

_MOST_READ = 1000
_MOST_TOLD = 500


class FailureSync:
    """Tells the others what this worker's receipts say, and learns what theirs do."""

    def __init__(
        self,
        redis: Redis,
        failures: FailureMonitor,
        clock: Callable[[], float],
        *,
        sleep: Sleep = asyncio.sleep,
        time_limit: float = 1.0,
    ) -> None:
        """``clock`` is in seconds since the epoch; ``time_limit`` in seconds, for each command."""
        self._redis = redis
        self._failures = failures
        self._clock = clock
        self._sleep = sleep
        self._time_limit = time_limit
        self._who = uuid4().hex[:12]
        self._said_for = int(failures.rule.window * 2000)
        """Milliseconds; renewed while a warning lasts, so that none stays said when all workers are gone."""
        self._read = ""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to exchange in the background."""
        self._task = asyncio.create_task(self._run(), name="failures")

    async def aclose(self) -> None:
        """Stop."""
        if self._task is not None:
            await cancel_and_wait(self._task)
            self._task = None

    async def sync(self) -> None:
        """Tell, learn, and say what has begun or is over; without Redis each worker says it for itself."""
        try:
            await self._publish()
            while await self._consume():
                pass
        except SharedStateError:
            log.debug("what receipts say could not be exchanged; trying again")
        self._failures.update()
        for news in self._failures.drain_alerts():
            if await self._first_to_say(news):
                news.log()
        with contextlib.suppress(SharedStateError):
            await self._keep_said()

    async def _run(self) -> None:
        while True:
            await self._sleep(EXCHANGE_EVERY)
            try:
                await self.sync()
            except Exception:
                log.exception("what receipts say could not be exchanged; trying again")

    async def _publish(self) -> None:
        taken = self._failures.drain()
        if not taken:
            return
        first = dict(taken.most_common(_MOST_TOLD))
        told = [[*key, count] for key, count in first.items()]
        entry: dict[Any, Any] = {"who": self._who, "seen": json.dumps(told)}
        try:
            async with redis_errors(self._time_limit):
                await self._redis.xadd(RECEIVED, entry, maxlen=_MOST_KEPT, approximate=True)
        except BaseException:
            self._failures.restore(taken)
            raise
        self._failures.restore(taken - Counter(first))  # the next time

    async def _consume(self) -> bool:
        """Learn from the entries that are new, and tell whether there are more."""
        if not self._read:
            self._read = f"{int((self._clock() - self._failures.rule.window) * 1000)}-0"
        async with redis_errors(self._time_limit):
            entries: Any = await self._redis.xrange(RECEIVED, f"({self._read}", "+", count=_MOST_READ)
        for reference, fields in entries:
            self._read = reference.decode()
            if fields.get(b"who") != self._who.encode():
                self._failures.merge(_seen(fields.get(b"seen", b"[]")))
        return len(entries) == _MOST_READ

    async def _first_to_say(self, news: Alert) -> bool:
        """Tell whether no other worker has said it."""
        key = warned_key(news.failing.sender, news.failing.error_class)
        try:
            async with redis_errors(self._time_limit):
                if news.begins:
                    return bool(await self._redis.set(key, 1, nx=True, px=self._said_for))
                return bool(await self._redis.delete(key))
        except SharedStateError:
            return True

    async def _keep_said(self) -> None:
        for failing in self._failures.failing()[:_MOST_TOLD]:
            async with redis_errors(self._time_limit):
                await self._redis.pexpire(warned_key(failing.sender, failing.error_class), self._said_for)


def _seen(written: bytes) -> ReceiptCounts:
    seen: ReceiptCounts = Counter()
    try:
        for sender, fault, count in json.loads(written):
            seen[str(sender), fault if fault is None else str(fault)] += int(count)
    except (ValueError, TypeError):
        log.error("what another worker has seen cannot be read")
    return seen
