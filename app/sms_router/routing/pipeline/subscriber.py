"""Subscribes to what other workers publish: answered messages and changes of opt-outs."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from sms_router.routing.inbox.inbox import Inbox
from sms_router.routing.opt_outs.cache import OptOutCache
from sms_router.store.keys import ANSWERED_CHANNEL, CONSENTS_CHANNEL
from sms_router.store.redis_py import CLIENT_ERRORS, subscribed
from sms_router.tasks import PeriodicTask, cancel_and_wait

RETRY_INTERVAL = 1.0
"""Seconds between attempts while Redis is away; waiting requests look for the answer themselves meanwhile."""


class Subscriber:
    """Passes messages of the pub/sub channels on to the inbox and the opt-out cache."""

    def __init__(self, redis: Redis, inbox: Inbox, opt_outs: OptOutCache) -> None:
        self._redis = redis
        self._inbox = inbox
        self.opt_outs = opt_outs
        self._task = PeriodicTask("subscriber", RETRY_INTERVAL, self._subscribe)

    def start(self) -> None:
        self._task.start()

    async def aclose(self) -> None:
        await self._task.aclose()

    async def _subscribe(self) -> None:
        """Receive messages until the connection is lost."""
        try:
            async with subscribed(self._redis, ANSWERED_CHANNEL, CONSENTS_CHANNEL) as channel:
                reading = asyncio.create_task(self._read_opt_outs(), name="opt-outs-reader")
                try:
                    async for message in channel.listen():
                        self._handle(message["channel"], message["data"].decode())
                finally:
                    await cancel_and_wait(reading)
        except (*CLIENT_ERRORS, OSError):
            return

    async def _read_opt_outs(self) -> None:
        """Read the list once the subscription holds, so that no change is missed in between."""
        while True:
            try:
                return await self.opt_outs.load(self._redis)
            except (*CLIENT_ERRORS, OSError):
                await asyncio.sleep(RETRY_INTERVAL)

    def _handle(self, channel: bytes, data: str) -> None:
        if channel == ANSWERED_CHANNEL.encode():
            self._inbox.wake(data)
        else:
            self.opt_outs.apply(data)
