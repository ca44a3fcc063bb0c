"""What time it is: one clock for all workers and replicas, which nobody sets.

Redis tells it, since it stamps what is kept. In between, and while Redis is away, it goes on by the clock
that measures time: whatever happens to the clock of this machine, nothing here notices.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

import redis

from sms_router.store import scripts
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.redis_py import run_script
from sms_router.store.store import Store

log = logging.getLogger("sms_router.clock")

WORTH_TELLING = 5.0
"""Seconds that this machine's clock may differ from Redis' before an operator is told."""


class ServerClock:
    """Tells the time to one worker: call it for the seconds since the epoch."""

    def __init__(
        self,
        store: Store,
        *,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Until Redis is heard, ``wall`` is believed as it is now; ``steady`` measures time, in seconds."""
        self._store = store
        self._wall = wall
        self._steady = steady
        self._ahead = wall() - steady()
        self._told = False

    def __call__(self) -> float:
        """Return the seconds since the epoch."""
        return self.of(self._steady())

    def of(self, moment: float) -> float:
        """Return the seconds since the epoch of a moment by the clock that measures time."""
        return moment + self._ahead

    async def ask(self) -> None:
        """Ask Redis what time it is, as each worker does every second; while it is away the clock goes on.

        The moment that Redis names lies between the question and the answer. A clock that agrees with
        that is left alone: a slow answer makes no difference to it.
        """
        asked = self._steady()
        try:
            told = _seconds(await self._store.run(scripts.get_time()))
        except StoreUnavailableError:
            return
        self._ahead = min(max(self._ahead, told - self._steady()), told - asked)
        self._tell()

    @property
    def difference(self) -> float:
        """How many seconds this machine's clock is ahead of this one; negative when it is behind."""
        return self._wall() - self()

    def notices(self) -> list[str]:
        """Say that this machine's clock is wrong, or Redis' is."""
        difference = self.difference
        if abs(difference) < WORTH_TELLING:
            return []
        side = "ahead of" if difference > 0 else "behind"
        return [f"this machine's clock is {timedelta(seconds=round(abs(difference)))} {side} Redis'"]

    def _tell(self) -> None:
        """Say it in the log as well, once, and once that it is over."""
        notices = self.notices()
        if notices and not self._told:
            log.warning("%s; the router goes by Redis', look at both", *notices)
        elif self._told and not notices:
            log.info("this machine's clock and Redis' agree again")
        self._told = bool(notices)


def server_time(client: redis.Redis) -> float:
    """Return the seconds since the epoch by Redis' clock. For commands at a terminal."""
    return _seconds(run_script(client, scripts.get_time()))


def _seconds(told: tuple[bytes, bytes]) -> float:
    seconds, microseconds = told
    return int(seconds) + int(microseconds) / 1_000_000
