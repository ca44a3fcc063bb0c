"""The background tasks: reading Twilio when it is due, and listening for other workers' readings."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from sms_router.membership.service_state import LAST_RETRY, ServiceState, log
from sms_router.membership.snapshot_store import SharedStateError, SnapshotStore
from sms_router.tasks import cancel_and_wait

LISTEN_AGAIN = 1.0
"""Seconds until a lost subscription is renewed; the versions are looked at meanwhile."""
WATCH_EVERY = 1.0
"""Seconds between two looks at the versions in Redis, should an announcement have been missed."""

Sleep = Callable[[float], Awaitable[None]]


class Refreshable(Protocol):
    """What the background keeps fresh."""

    async def sync(self) -> None:
        """Take over what other workers have read."""

    async def watch(self) -> None:
        """Do what is due every second."""

    async def take_turn(self, service_sid: str) -> float:
        """Read Twilio if it is due; return the seconds to the next turn."""


class Refresher:
    """The tasks of one worker: one for each Service, one that watches, one that listens."""

    def __init__(
        self, kept: Refreshable, held: Mapping[str, ServiceState], shared: SnapshotStore, sleep: Sleep
    ) -> None:
        """Remember what is to be kept; ``start`` begins."""
        self._kept = kept
        self._held = held
        self._shared = shared
        self._sleep = sleep
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; a router without Services has nothing to keep."""
        if not self._held:
            return
        for sid, held in self._held.items():
            self._begin(self._keep(held), sid)
        self._begin(self._watch(), "watch")
        self._begin(self._listen(), "listen")

    async def aclose(self) -> None:
        """Stop everything."""
        await cancel_and_wait(*self._tasks)
        self._tasks = []

    def _begin(self, work: Awaitable[None], name: str) -> None:
        self._tasks.append(asyncio.ensure_future(work))
        self._tasks[-1].set_name(f"membership-{name}")

    async def _keep(self, held: ServiceState) -> None:
        while True:
            held.wakeup.clear()
            try:
                delay = await self._kept.take_turn(held.source.service_sid)
            except Exception:
                log.exception("the senders of %s could not be refreshed", held.source.service_sid)
                delay = LAST_RETRY
            await self._rest(held, delay * random.uniform(0.9, 1.1))  # noqa: S311 - spreads load, guards nothing

    async def _rest(self, held: ServiceState, seconds: float) -> None:
        """Sleep until the next turn, or until somebody has changed the Service."""
        ends = [asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(held.wakeup.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(*ends)

    async def _watch(self) -> None:
        while True:
            await self._sleep(WATCH_EVERY)
            try:
                await self._kept.watch()
            except Exception:
                log.exception("the stored senders could not be followed; trying again")

    async def _listen(self) -> None:
        while True:
            try:
                await self._shared.listen(self._kept.sync)
            except SharedStateError:
                await self._sleep(LISTEN_AGAIN)
            except Exception:
                log.exception("announcements could not be heard; trying again")
                await self._sleep(LISTEN_AGAIN)
