"""Limits how many scripts about one contact a worker runs at once, so that a flood does not delay others."""

from __future__ import annotations

import asyncio
from collections import deque

from sms_router.store import scripts
from sms_router.store.connection import RedisReply
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.store import Store

MAX_CONCURRENT_CALLS = 4
"""Scripts about one contact."""

FLOOD_RETRY_INTERVAL = 0.3
MAX_FLOOD_RETRIES = 5

MAX_TURN_WAIT = 4.0
"""Seconds that a message waits for earlier ones of its contact; then it is answered without Redis."""


class ContactTurns:
    """The scripts that run about each contact, and the messages that wait for one of them to end."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.running: dict[str, int] = {}
        """Their number; `Inbox.claim` counts the first one itself, because each message takes it."""
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, contact: str) -> None:
        """Wait until few enough scripts about a contact run; `end` follows.

        Raises:
            StoreUnavailableError: after `MAX_TURN_WAIT`.

        """
        running = self.running.get(contact, 0)
        if running < MAX_CONCURRENT_CALLS:
            self.running[contact] = running + 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(contact, deque()).append(turn)
        try:
            async with asyncio.timeout(MAX_TURN_WAIT):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.end(contact)
            if isinstance(error, TimeoutError):
                raise StoreUnavailableError("too many messages of one contact wait for Redis") from error
            raise

    async def run(self, contact: str, call: scripts.Call, time_limit: float | None = None) -> RedisReply:
        """Run a script; while other messages of the contact wait for their turn, outlast a short outage.

        Their replies would not be counted, and a flood may itself be the reason for it.
        """
        for _ in range(MAX_FLOOD_RETRIES):
            try:
                return await self._store.run(call, time_limit)
            except StoreUnavailableError:
                if contact not in self._waiting:
                    raise
            await asyncio.sleep(FLOOD_RETRY_INTERVAL)
        return await self._store.run(call, time_limit)

    def end(self, contact: str) -> None:
        """Let the next message of a contact use Redis."""
        while (waiting := self._waiting.get(contact)) is not None:
            turn = waiting.popleft()
            if not waiting:
                del self._waiting[contact]
            if not turn.done():
                turn.set_result(None)
                return
        self.running[contact] -= 1
        if not self.running[contact]:
            del self.running[contact]
