"""What the workers send, told to each other through Redis a few times a second, off the messages' way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from redis import Redis as SynchronousRedis
from redis.asyncio import Redis

from sms_router.membership.refresher import Sleep
from sms_router.membership.snapshot_store import SharedStateError, redis_errors
from sms_router.senders.pool import Pool
from sms_router.senders.rate_limits import RateLimiter, SharedUsage, UsageDelta
from sms_router.store.redis_py import run_script
from sms_router.store.scripts.senders import sync_rates
from sms_router.tasks import cancel_and_wait

log = logging.getLogger("sms_router.membership")

EXCHANGE_EVERY = 0.25
"""Seconds: what other workers send from a number is known so much later."""

MOST_TOLD = 500
"""Senders in one exchange, each way; more follow at once."""

_MOST_PAGES = 40


class RateSync:
    """Keeps one worker's counts like everybody's.

    Nothing is asked of Redis where nothing is limited and nothing was chosen among equals.
    """

    def __init__(
        self,
        redis: Redis,
        rates: RateLimiter,
        pools: Callable[[], Mapping[str, Pool]],
        clock: Callable[[], float],
        *,
        sleep: Sleep = asyncio.sleep,
        time_limit: float = 1.0,
    ) -> None:
        """``clock`` is the one that the rates go by; ``time_limit`` in seconds, for each command."""
        self._redis = redis
        self._rates = rates
        self._pools = pools
        self._known: Mapping[str, Pool] | None = None
        self._clock = clock
        self._sleep = sleep
        self._time_limit = time_limit
        self._since = "-inf"
        self._task: asyncio.Task[None] | None = None
        self.trouble: str | None = None
        """Why nothing can be exchanged, or None while it can."""

    def start(self) -> None:
        """Begin to exchange in the background."""
        self._task = asyncio.create_task(self._run(), name="rates")

    async def aclose(self) -> None:
        """Stop, and tell the others what they do not know yet."""
        if self._task is not None:
            await cancel_and_wait(self._task)
            self._task = None
            await self._try()

    async def exchange(self) -> None:
        """Tell what was sent and learn what the others have sent.

        Raises:
            SharedError: when Redis does not serve; the worker's own counts go on.

        """
        self._look_at_pools()
        if not self._rates.limits and not self._rates.has_unreported:
            return
        for _ in range(_MOST_PAGES):
            if not await self._exchange_some():
                return

    async def _run(self) -> None:
        while True:
            await self._sleep(EXCHANGE_EVERY)
            await self._try()

    async def _try(self) -> None:
        try:
            await self.exchange()
        except SharedStateError as error:
            if self.trouble is None:
                log.warning("%s; each worker keeps the senders' limits by itself", error)
            self.trouble = str(error)
        except Exception:
            log.exception("what was sent could not be exchanged; trying again")
        else:
            if self.trouble is not None:
                log.info("the workers keep the senders' limits together again")
            self.trouble = None

    def _look_at_pools(self) -> None:
        """Learn which senders there are, whenever that has changed."""
        pools = self._pools()
        if self._rates.limits and pools is not self._known:
            self._known = pools
            self._rates.set_senders(sender for pool in pools.values() for sender in pool.senders)
            self._since = "-inf"

    async def _exchange_some(self) -> bool:
        """Make one exchange, and tell whether there is more to learn."""
        taken = self._rates.drain(MOST_TOLD)
        try:
            async with redis_errors(self._time_limit):
                answer = await run_script(
                    self._redis,
                    sync_rates(
                        since=self._since,
                        max_senders=MOST_TOLD,
                        day_offset_s=self._rates.day_offset,
                        sent=_encode(taken),
                    ),
                )
        except BaseException:
            self._rates.restore(taken)
            raise
        report = _decode(answer, self._clock())
        self._rates.merge(report.senders)
        if len(report.senders) == MOST_TOLD and report.last != self._since:
            self._since = report.last
            return True
        self._since = report.asked
        return len(taken) == MOST_TOLD


class _Report(NamedTuple):
    senders: list[SharedUsage]
    last: str
    """The mark of the last use in it."""
    asked: str
    """The mark of the moment; who asks from there on misses nothing of the same millisecond."""


def stored_usage(redis: SynchronousRedis, now: float) -> list[SharedUsage]:
    """Return what all workers have sent lately. For commands at a terminal."""
    call = sync_rates(since="-inf", max_senders=20_000, day_offset_s=0, sent=())
    return _decode(run_script(redis, call), now).senders


def _encode(taken: Mapping[str, UsageDelta]) -> Iterable[tuple[str, int, int]]:
    for sender, count in taken.items():
        yield sender, round(count.busy_seconds * 1000), count.segments


def _decode(answer: list[bytes], now: float) -> _Report:
    """Read what the script returns, with times by this clock."""
    ahead = now - int(answer[0]) / 1000
    reports = []
    last = ""
    for sender, used, told in zip(*(iter(answer[1:]),) * 3, strict=True):
        last = used.decode()
        busy, day, segments = map(int, told.split())
        busy_until = busy / 1000 + ahead if busy else 0.0
        reports.append(SharedUsage(sender.decode(), float(last) / 1e6 + ahead, busy_until, day, segments))
    return _Report(reports, last, f"{int(answer[0]) * 1000}")
