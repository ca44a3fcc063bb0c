import contextlib
from unittest.mock import Mock

import pytest
import redis

from sms_router.routing.pipeline import subscriber
from sms_router.routing.pipeline.subscriber import Subscriber
from sms_router.store.keys import ALL_BUCKETS, ANSWERED_CHANNEL, ERASURES_CHANNEL
from sms_router.store.redis_py import async_client
from sms_router.store.store import Store
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until


async def test_a_new_server_is_subscribed_to_while_the_old_one_runs(
    private_valkey: PrivateValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "RETRY_INTERVAL", 0.01)
    store, inbox = Store(private_valkey.url), Mock()
    store.forget_runs = forget = Mock()
    async with contextlib.AsyncExitStack() as opened:
        client = await opened.enter_async_context(async_client(private_valkey.url, connect_within=1))
        valkey = opened.enter_context(private_valkey.client())
        subscribed = Subscriber(client, inbox, Mock(), store)
        await store.start()
        subscribed.start()
        try:
            connections: list[set[str]] = []
            for _ in range(2):
                await wait_until(lambda: _subscriptions(valkey) not in (set(), *connections))
                connections.append(_subscriptions(valkey))
                valkey.publish(ANSWERED_CHANNEL, "AC/SM")
                valkey.publish(ERASURES_CHANNEL, ALL_BUCKETS[0].tag)
                await wait_until(lambda: inbox.wake.call_count and forget.call_count)
                inbox.reset_mock()
                forget.reset_mock()
                store.reset("another server is the master")
        finally:
            await subscribed.aclose()
            await store.aclose()


def _subscriptions(valkey: redis.Redis) -> set[str]:
    return {client["id"] for client in valkey.client_list(_type="pubsub") if int(client["sub"])}
