"""What a worker hears from others: which messages are answered, and who has opted out or come back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from redis.asyncio import Redis

from sms_router.routing.inbox.inbox import Inbox
from sms_router.routing.opt_outs.cache import OptOutCache
from sms_router.store.keys import ANSWERED_CHANNEL, CONSENTS_CHANNEL
from sms_router.store.redis_py import CLIENT_ERRORS, subscribed
from sms_router.tasks import cancel_and_wait

AGAIN_AFTER = 1.0
"""Seconds until it is tried again while Redis is away; those who wait look for themselves meanwhile."""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Passes on what other workers publish to the parts that it concerns."""

    redis: Redis
    records: Inbox
    opt_outs: OptOutCache

    async def listen(self) -> None:
        """Listen until cancelled; Redis may go and come back."""
        while True:
            try:
                async with subscribed(self.redis, ANSWERED_CHANNEL, CONSENTS_CHANNEL) as channel:
                    reading = asyncio.create_task(self._read_opt_outs(), name="opt-outs-reader")
                    try:
                        async for message in channel.listen():
                            self._handle(message["channel"], message["data"].decode())
                    finally:
                        await cancel_and_wait(reading)
            except (*CLIENT_ERRORS, OSError):
                await asyncio.sleep(AGAIN_AFTER)

    async def _read_opt_outs(self) -> None:
        """Read the list beside what is heard, again while a part of Redis is away."""
        while True:
            try:
                return await self.opt_outs.read(self.redis)
            except (*CLIENT_ERRORS, OSError):
                await asyncio.sleep(AGAIN_AFTER)

    def _handle(self, channel: bytes, word: str) -> None:
        if channel == ANSWERED_CHANNEL.encode():
            self.records.wake(word)
        else:
            self.opt_outs.apply(word)
