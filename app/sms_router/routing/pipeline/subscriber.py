"""Subscribes to what other workers publish: answered messages and changes of opt-outs."""

from __future__ import annotations

from redis.asyncio import Redis

from sms_router.routing.inbox.inbox import Inbox
from sms_router.routing.opt_outs.sync import OptOutSync
from sms_router.store.keys import ANSWERED_CHANNEL, CONSENTS_CHANNEL
from sms_router.store.redis_py import CLIENT_ERRORS, subscribed
from sms_router.tasks import PeriodicTask

RETRY_INTERVAL = 1.0
"""Seconds between attempts while Redis is away; waiting requests look for the answer themselves meanwhile."""


class Subscriber:
    """Passes messages of the pub/sub channels on to the inbox and the copy of the opt-out list."""

    def __init__(self, redis: Redis, inbox: Inbox, opt_outs: OptOutSync) -> None:
        self._redis = redis
        self._inbox = inbox
        self._opt_outs = opt_outs
        self._task = PeriodicTask("subscriber", RETRY_INTERVAL, self._subscribe)

    def start(self) -> None:
        self._task.start()

    async def aclose(self) -> None:
        await self._task.aclose()

    async def _subscribe(self) -> None:
        """Receive messages until the connection is lost."""
        try:
            async with subscribed(self._redis, ANSWERED_CHANNEL, CONSENTS_CHANNEL) as channel:
                # Once the subscription holds, so that no change is missed in between.
                self._opt_outs.request()
                async for message in channel.listen():
                    self._handle(message["channel"], message["data"].decode())
        except (*CLIENT_ERRORS, OSError):
            return

    def _handle(self, channel: bytes, data: str) -> None:
        if channel == ANSWERED_CHANNEL.encode():
            self._inbox.wake(data)
        else:
            self._opt_outs.cache.apply_published(data)
