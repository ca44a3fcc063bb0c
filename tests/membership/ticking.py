"""Time that tests drive, and memberships that run for as long as a block lasts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sms_router.membership.membership import Membership
from sms_router.membership.refresher import WATCH_INTERVAL
from sms_router.membership.service_state import ServiceStatus


class Clock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Pauses:
    """A sleep that lasts until a test ends it; those of the watch are not counted."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._begun = asyncio.Event()
        self._over = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        if seconds != WATCH_INTERVAL:
            self.asked.append(seconds)
        self._begun.set()
        await self._over.wait()

    async def begun(self, count: int) -> None:
        while len(self.asked) < count:
            self._begun.clear()
            await self._begun.wait()

    def end(self) -> None:
        self._over.set()
        self._over = asyncio.Event()


@asynccontextmanager
async def running(membership: Membership) -> AsyncIterator[Membership]:
    await membership.start()
    try:
        yield membership
    finally:
        await membership.aclose()


async def eventually(holds: Callable[[], object] | Callable[[], Awaitable[object]]) -> None:
    """Let other tasks go on until something holds."""
    async with asyncio.timeout(20):
        while True:
            found = holds()
            if await found if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.005)


def only(membership: Membership) -> ServiceStatus:
    """Return the status of the one Service there is."""
    (status,) = membership.statuses()
    return status
