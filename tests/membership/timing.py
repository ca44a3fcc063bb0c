"""Clocks and sleeps that tests control, and running memberships."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sms_router.membership.membership import WATCH_INTERVAL, Membership
from sms_router.membership.service_state import ServiceStatus


class Clock:
    """A clock that moves only when a test sets ``now``."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class ControlledSleep:
    """Replaces `asyncio.sleep`: it lasts until a test ends it. Sleeps of the watch are not counted."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self._started = asyncio.Event()
        self._ended = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        if seconds != WATCH_INTERVAL:
            self.delays.append(seconds)
        self._started.set()
        await self._ended.wait()

    async def wait_for(self, count: int) -> None:
        while len(self.delays) < count:
            self._started.clear()
            await self._started.wait()

    def end_all(self) -> None:
        self._ended.set()
        self._ended = asyncio.Event()


@asynccontextmanager
async def running(membership: Membership) -> AsyncIterator[Membership]:
    await membership.start()
    try:
        yield membership
    finally:
        await membership.aclose()


def only_status(membership: Membership) -> ServiceStatus:
    """Return the status of the only Service."""
    (status,) = membership.statuses()
    return status
