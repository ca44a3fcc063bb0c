"""Compares Twilio's message log with the journal in the background: at the start, and from time to time."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from itertools import chain, repeat

import redis
from redis.asyncio import Redis as AsyncRedis

from sms_router.routing.history.reconciler import (
    GRACE,
    Comparison,
    MissedStatus,
    PoolNumber,
    Reconciler,
)
from sms_router.store.keys import RECONCILE_LOCK, RECONCILED_UNTIL
from sms_router.store.redis_py import CLIENT_ERRORS, sync_client
from sms_router.tasks import PeriodicTask

log = logging.getLogger("sms_router.reconcile")

FIRST_DELAYS = (10.0, GRACE / 1000 + 15)
"""Seconds before the first comparison, and before the second, which has the last minute before the start."""

LOCK_TTL = 60_000
"""Milliseconds for which one router holds the lock without renewing it."""

MAX_WINDOW = 86_400_000
"""Milliseconds of the log that are compared at most."""

OVERLAP = 600_000
"""Milliseconds that are compared again: Twilio's log may show a message late."""


_RESULTS = (
    (MissedStatus.ANSWERED, "answered", "they are answered now, or their opt-out keyword is recorded"),
    (MissedStatus.JOURNALED, "dead letter", "messages --failed lists them, reconcile --answer answers them"),
)
"""The results that are counted and logged."""


class StoppingError(Exception):
    """The router stops in the middle of a comparison."""


class ReconcileTask(PeriodicTask):
    """Finds missed messages; one router does it at a time, for all.

    Args:
        redis: shared by all workers.
        redis_url: of the same Redis, for a thread.
        numbers: returns the numbers that can be texted.
        build: returns the reconciler for a client and a function that waits for some seconds.
        answer: whether the messages are answered; otherwise they become dead letters.
        interval: seconds between two comparisons; 0 for those of the start alone.
        clock: seconds since the epoch.
        count: called with the number of messages that were missed, and what became of them.

    """

    def __init__(
        self,
        redis: AsyncRedis,
        redis_url: str,
        numbers: Callable[[], list[PoolNumber]],
        build: Callable[[redis.Redis, Callable[[float], None]], Reconciler],
        answer: bool,
        interval: float,
        clock: Callable[[], float],
        count: Callable[[str, int], None],
    ) -> None:
        delays: Iterator[float] = chain(FIRST_DELAYS, repeat(interval or MAX_WINDOW))
        super().__init__(
            "reconcile", interval, self.run, wait_first=True, sleep=lambda _: asyncio.sleep(next(delays))
        )
        self._redis = redis
        self._redis_url = redis_url
        self._numbers = numbers
        self._build = build
        self._answer = answer
        self._clock = clock
        self._count = count
        self._stopping = threading.Event()

    async def aclose(self) -> None:
        self._stopping.set()
        await super().aclose()

    async def run(self) -> Comparison | None:
        """Compare once, unless another router does or Redis does not serve."""
        numbers = self._numbers()
        try:
            if not numbers or not await self._redis.set(RECONCILE_LOCK, b"1", nx=True, px=LOCK_TTL):
                return None
            return await asyncio.to_thread(self._compare, numbers)
        except StoppingError:
            return None
        except CLIENT_ERRORS as error:
            log.warning("Twilio's message log was not compared: Redis failed (%s)", type(error).__name__)
            return None

    def _compare(self, numbers: list[PoolNumber]) -> Comparison:
        with sync_client(self._redis_url, attempts=2) as client:
            try:
                reconciler = self._build(client, self._pause)
                now = int(self._clock() * 1000)
                until = int(client.get(RECONCILED_UNTIL) or 0)
                since = max(now - MAX_WINDOW, until - OVERLAP)
                found = reconciler.compare(numbers, since, now, lambda _: self._renew(client))
                for missed in found.missed:
                    reconciler.record(missed, now, answer=self._answer)
                    self._renew(client)
                self._report(found)
                if not found.failures:
                    client.set(RECONCILED_UNTIL, now - GRACE)
                return found
            finally:
                client.delete(RECONCILE_LOCK)

    def _renew(self, client: redis.Redis) -> None:
        client.pexpire(RECONCILE_LOCK, LOCK_TTL)
        self._pause(0)

    def _pause(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise StoppingError

    def _report(self, found: Comparison) -> None:
        for sentence in found.failures:
            log.warning("Twilio's message log: %s", sentence)
        for status, result, sentence in _RESULTS:
            messages = [missed for missed in found.missed if missed.status is status]
            self._count(result, len(messages))
            if messages:
                log.warning(
                    "messages that never arrived: %d (%s); %s", len(messages), messages[0].error, sentence
                )
