"""The time by Redis' clock: one clock for all workers and replicas.

Redis stamps what is stored. Between two readings, and while Redis is away, the time goes on by this process's
monotonic clock: changes of this machine's wall clock have no effect.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import redis

from sms_router.store import scripts
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.redis_py import run_script
from sms_router.store.store import Store

log = logging.getLogger("sms_router.clock")

MAX_DIFFERENCE = 5.0
"""Seconds that this machine's clock may differ from Redis' before operators are warned."""


@dataclass(eq=False)
class ServerClock:
    """Returns the time to one worker: call it for the seconds since the epoch."""

    store: Store
    wall: Callable[[], float] = field(default=time.time, kw_only=True)
    """This machine's wall clock, in seconds, used as it is now until Redis responds."""
    steady: Callable[[], float] = field(default=time.monotonic, kw_only=True)
    """Measures durations in seconds."""
    offset: float = field(init=False)
    """Seconds since the epoch at the zero of the steady clock."""
    _is_warned: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.offset = self.wall() - self.steady()

    def __call__(self) -> float:
        return self.time_of(self.steady())

    def time_of(self, moment: float) -> float:
        """Return the seconds since the epoch of a moment by the steady clock."""
        return moment + self.offset

    async def sync(self) -> None:
        """Adjust to Redis' time, as each worker does every second; nothing changes while Redis is away.

        Redis' time was read between the request and the response. Where this clock agrees with that, it is
        not adjusted, however slow the response.
        """
        sent_at = self.steady()
        try:
            redis_time = _seconds(await self.store.run(scripts.get_time()))
        except StoreUnavailableError:
            return
        self.offset = min(max(self.offset, redis_time - self.steady()), redis_time - sent_at)
        self._log_difference()

    @property
    def difference(self) -> float:
        """How many seconds this machine's wall clock is ahead of Redis'; negative when it is behind."""
        return self.wall() - self()

    def notices(self) -> list[str]:
        """Return a warning for operators while the two clocks differ."""
        difference = self.difference
        if abs(difference) < MAX_DIFFERENCE:
            return []
        side = "ahead of" if difference > 0 else "behind"
        return [f"this machine's clock is {timedelta(seconds=round(abs(difference)))} {side} Redis'"]

    def _log_difference(self) -> None:
        """Log once that the clocks differ, and once that they agree again."""
        notices = self.notices()
        if notices and not self._is_warned:
            log.warning("%s; the router goes by Redis', look at both", *notices)
        elif self._is_warned and not notices:
            log.info("this machine's clock and Redis' agree again")
        self._is_warned = bool(notices)


def server_time(client: redis.Redis) -> float:
    """Return the seconds since the epoch by Redis' clock. For commands."""
    return _seconds(run_script(client, scripts.get_time()))


def _seconds(response: tuple[bytes, bytes]) -> float:
    seconds, microseconds = response
    return int(seconds) + int(microseconds) / 1_000_000
