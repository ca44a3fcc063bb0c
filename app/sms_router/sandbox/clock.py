"""The sandbox's time: the wall clock, or one that a test drives."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol


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
        """Return the present, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Return when that many seconds have passed."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until it is told to go on; one event loop may use it."""

    def __init__(self, start: datetime = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)) -> None:
        """Stand at ``start``."""
        self._now = start
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    @property
    def sleepers(self) -> int:
        """How many wait for a moment that has not come."""
        return sum(not alarm.done() for _, alarm in self._sleepers)

    @property
    def next_alarm(self) -> datetime | None:
        """The first moment for which somebody waits."""
        return min((at for at, alarm in self._sleepers if not alarm.done()), default=None)

    def now(self) -> datetime:
        """Return where the clock stands."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return when the clock has been driven that far."""
        if seconds <= 0:
            return
        alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + timedelta(seconds=seconds), alarm))
        await alarm

    def advance(self, seconds: float) -> None:
        """Move on, and wake those whose moment has come."""
        self._now += timedelta(seconds=seconds)
        due = [alarm for at, alarm in self._sleepers if at <= self._now]
        self._sleepers = [(at, alarm) for at, alarm in self._sleepers if at > self._now]
        for alarm in due:
            if not alarm.done():
                alarm.set_result(None)
