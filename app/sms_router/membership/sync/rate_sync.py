"""Shares sent segments between workers through Redis, so that they keep rate limits and caps together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

from redis import Redis as SynchronousRedis
from redis.asyncio import Redis

from sms_router.membership.snapshot_store import SharedStateError, redis_errors
from sms_router.senders.pool import Pool
from sms_router.senders.rate_limits import RateLimiter, SharedUsage
from sms_router.store.redis_py import run_script
from sms_router.store.scripts import sync_rates
from sms_router.tasks import PeriodicTask

log = logging.getLogger("sms_router.membership")

SYNC_INTERVAL = 0.25
"""Seconds; the delay with which other workers' usage is known."""

MAX_SENDERS = 500
"""Senders in one exchange, each way; more follow in the next exchange at once."""

MAX_EXCHANGES = 40
"""Exchanges of one `RateSync.sync`."""


class RateSync(PeriodicTask):
    """Exchanges one worker's usage with that of all workers; without limits it sends no commands.

    Args:
        redis: shared by all workers.
        rates: this worker's counts.
        pools: returns the pools, in a mapping that is replaced as a whole when one of them changes.
        clock: the clock of ``rates``.

    """

    def __init__(
        self,
        redis: Redis,
        rates: RateLimiter,
        pools: Callable[[], Mapping[str, Pool]],
        clock: Callable[[], float],
    ) -> None:
        super().__init__("rate-sync", SYNC_INTERVAL, self._sync_or_log, wait_first=True)
        self.redis_error: str | None = None
        """Why the last sync failed; None after a successful one."""
        self._redis = redis
        self._rates = rates
        self._pools = pools
        self._clock = clock
        self._known_pools: Mapping[str, Pool] | None = None
        self._since = "-inf"

    async def aclose(self) -> None:
        """Stop, and report what the other workers do not know yet."""
        await super().aclose()
        await self._sync_or_log()

    async def sync(self) -> None:
        """Report this worker's usage and merge that of all workers.

        Raises:
            SharedStateError: when Redis is unavailable; the worker's own counts continue.

        """
        pools = self._pools()
        if self._rates.has_limits and pools is not self._known_pools:
            self._known_pools = pools
            self._rates.set_senders(sender for pool in pools.values() for sender in pool.senders)
            self._since = "-inf"
        if not self._rates.has_limits and not self._rates.has_unreported:
            return
        for _ in range(MAX_EXCHANGES):
            if not await self._exchange():
                return

    async def _sync_or_log(self) -> None:
        try:
            await self.sync()
        except SharedStateError as error:
            if self.redis_error is None:
                log.warning("%s; each worker keeps rate limits by itself", error)
            self.redis_error = str(error)
        else:
            if self.redis_error is not None:
                log.info("Redis is available again; the workers keep rate limits together")
            self.redis_error = None

    async def _exchange(self) -> bool:
        """Make one exchange; return whether another one is needed."""
        drained = self._rates.drain(MAX_SENDERS)
        try:
            async with redis_errors():
                answer = await run_script(
                    self._redis,
                    sync_rates(
                        since=self._since,
                        max_senders=MAX_SENDERS,
                        day_offset_s=self._rates.day_offset,
                        sent=[
                            (sender, round(delta.busy_seconds * 1000), delta.segments)
                            for sender, delta in drained.items()
                        ],
                    ),
                )
        except BaseException:
            self._rates.restore(drained)
            raise
        exchange = _decode(answer, self._clock())
        self._rates.merge(exchange.usages)
        if len(exchange.usages) == MAX_SENDERS and exchange.last_use != self._since:
            self._since = exchange.last_use
            return True
        self._since = exchange.now
        return len(drained) == MAX_SENDERS


class _Exchange(NamedTuple):
    usages: list[SharedUsage]
    last_use: str
    """Time of the last use in ``usages``, for `since` of the next exchange."""
    now: str
    """Time of the exchange; uses of the same millisecond are returned again."""


def stored_usage(redis: SynchronousRedis, now: float) -> list[SharedUsage]:
    """Return what all workers have sent, for commands."""
    call = sync_rates(since="-inf", max_senders=20_000, day_offset_s=0, sent=())
    return _decode(run_script(redis, call), now).usages


def _decode(answer: list[bytes], now: float) -> _Exchange:
    """Decode the script's result, with times by this worker's clock."""
    difference = now - int(answer[0]) / 1000
    usages = []
    last_use = ""
    for sender, used, usage in zip(*(iter(answer[1:]),) * 3, strict=True):
        last_use = used.decode()
        busy_until, day, segments = map(int, usage.split())
        usages.append(
            SharedUsage(
                sender.decode(),
                float(last_use) / 1e6 + difference,
                busy_until / 1000 + difference if busy_until else 0.0,
                day,
                segments,
            )
        )
    return _Exchange(usages, last_use, f"{int(answer[0]) * 1000}")
