"""The sandbox's time: the machine's clock, or one that a test advances."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sms_router.sandbox.background import BackgroundTasks

IDLE_TIMEOUT = 10.0
"""Seconds of real time; a webhook that hangs is not waited for any longer."""

_POLL_INTERVAL = 0.002
"""Seconds."""


def parse_time(text: str) -> datetime:
    """Read a date or a date and time of ISO 8601; without a time zone it is UTC.

    Raises:
        ValueError: when it is none, or lies outside of the years 1 to 9999 in UTC.

    """
    moment = datetime.fromisoformat(text)
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from error


class Clock(Protocol):
    """Where dates, delays and schedules come from. Network timeouts are always real time."""

    def now(self) -> datetime:
        """Return the present, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when that many seconds have passed."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until it is advanced; one event loop may use it."""

    def __init__(self, start: datetime = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)) -> None:
        self._now = start
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    @property
    def sleepers(self) -> int:
        return sum(not wakeup.done() for _, wakeup in self._sleepers)

    @property
    def next_wakeup(self) -> datetime | None:
        """When the first sleeper wakes up; None when there is none."""
        return min((at for at, wakeup in self._sleepers if not wakeup.done()), default=None)

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        wakeup: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + timedelta(seconds=seconds), wakeup))
        await wakeup

    def advance(self, seconds: float) -> None:
        """Advance, and wake the sleepers whose time has come."""
        self._now += timedelta(seconds=seconds)
        due = [wakeup for at, wakeup in self._sleepers if at <= self._now]
        self._sleepers = [(at, wakeup) for at, wakeup in self._sleepers if at > self._now]
        for wakeup in due:
            if not wakeup.done():
                wakeup.set_result(None)


class TimeControl:
    """Advances a sandbox's clock, and waits until its background tasks are idle."""

    def __init__(self, clock: Clock, tasks: Sequence[BackgroundTasks]) -> None:
        """The tasks must sleep by ``clock``."""
        self._clock = clock
        self._tasks = tasks

    @property
    def is_busy(self) -> bool:
        """True while a task is running that does not sleep by a manual clock."""
        asleep = self._clock.sleepers if isinstance(self._clock, ManualClock) else 0
        return sum(tasks.running for tasks in self._tasks) > asleep

    async def wait_until_idle(self, limit: float = IDLE_TIMEOUT) -> bool:
        """Wait for at most ``limit`` seconds of real time; return whether all tasks are idle."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit
        while self.is_busy and loop.time() < deadline:
            await asyncio.sleep(_POLL_INTERVAL)
        return not self.is_busy

    async def advance(self, seconds: float) -> None:
        """Advance a manual clock from one sleeper's time to the next, so that all happens in its order."""
        clock = self._clock
        if not isinstance(clock, ManualClock):
            raise TypeError("only a ManualClock can be advanced")
        await self.wait_until_idle()
        end = clock.now() + timedelta(seconds=seconds)
        while (wakeup := clock.next_wakeup) is not None and wakeup <= end:
            clock.advance((wakeup - clock.now()).total_seconds())
            await asyncio.sleep(0)
            await self.wait_until_idle()
        clock.advance((end - clock.now()).total_seconds())
        await self.wait_until_idle()
