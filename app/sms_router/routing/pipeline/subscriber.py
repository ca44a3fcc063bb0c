"""Subscribes to what other workers publish: answered messages and changes of opt-outs."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis, RedisCluster

from sms_router.routing.inbox.inbox import Inbox
from sms_router.routing.opt_outs.sync import OptOutSync
from sms_router.store.keys import ANSWERED_CHANNEL, CONSENTS_CHANNEL, ERASURES_CHANNEL
from sms_router.store.redis_py import CLIENT_ERRORS, subscribed
from sms_router.store.resilient_connection import Run
from sms_router.store.store import Store
from sms_router.tasks import PeriodicTask, cancel_and_wait

RETRY_INTERVAL = 1.0
"""Seconds between attempts while Redis is away; waiting requests look for the answer themselves meanwhile."""


class Subscriber(PeriodicTask):
    """Passes messages of the pub/sub channels on to the inbox, the copy of the opt-out list and the store."""

    def __init__(self, redis: Redis, inbox: Inbox, opt_outs: OptOutSync, store: Store) -> None:
        super().__init__("subscriber", RETRY_INTERVAL, self._subscribe)
        self._redis = redis
        self._inbox = inbox
        self._opt_outs = opt_outs
        self._store = store
        self._has_moved = asyncio.Event()
        store.restorers.append(self._leave)

    async def _leave(self, _: Run) -> None:
        """Use the new server for everything: a deposed master keeps its connections for a while."""
        self._has_moved.set()
        if not isinstance(self._redis, RedisCluster):
            await self._redis.connection_pool.disconnect(inuse_connections=False)

    async def _subscribe(self) -> None:
        """Receive messages until the connection is lost, or another server is used."""
        self._has_moved.clear()
        tasks = asyncio.create_task(self._listen()), asyncio.create_task(self._has_moved.wait())
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await cancel_and_wait(*tasks)

    async def _listen(self) -> None:
        try:
            async with subscribed(
                self._redis, ANSWERED_CHANNEL, CONSENTS_CHANNEL, ERASURES_CHANNEL
            ) as channel:
                # Once the subscription holds, so that no change is missed in between.
                self._opt_outs.request()
                async for message in channel.listen():
                    self._handle(message["channel"], message["data"].decode())
        except (*CLIENT_ERRORS, OSError):
            return

    def _handle(self, channel: bytes, data: str) -> None:
        if channel == ANSWERED_CHANNEL.encode():
            self._inbox.wake(data)
        elif channel == ERASURES_CHANNEL.encode():
            self._store.forget_runs(data)
        else:
            self._opt_outs.cache.apply_published(data)
