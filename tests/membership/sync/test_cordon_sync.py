"""Cordons in Redis: on every worker, after restarts, while Redis is unavailable, and at their end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import asdict, replace

import pytest
import redis as synchronous
from redis.asyncio import Redis

from sms_router.membership.membership import Membership
from sms_router.membership.source import ServiceSource
from sms_router.membership.sync.cordon_sync import release_cordon, store_cordon, stored_cordons
from sms_router.senders.cordons import Cordon
from sms_router.store.keys import CORDONS, CORDONS_VERSION, POOLS_CHANNEL
from sms_router.store.redis_py import sync_client
from tests.membership.recorded import RecordedTwilio
from tests.membership.timing import Clock, ControlledSleep, running
from tests.store.shared_stores import everywhere
from tests.waiting import wait_until

CODE = "SC" + "1" * 32


@pytest.fixture
async def operator(redis: Redis, shared_server: str) -> AsyncIterator[synchronous.Redis]:
    with sync_client(shared_server) as client:
        yield client
        client.delete(CORDONS, CORDONS_VERSION)


def cordon(twilio: RecordedTwilio, clock: Clock, until: float | None = None) -> Cordon:
    return Cordon(CODE, "12345", twilio.service_sid, "carrier incident", clock.now, until, "ada")


async def test_a_cordon_and_its_release_reach_every_worker_at_once(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, operator: synchronous.Redis, clock: Clock
) -> None:
    sleep = ControlledSleep()  # the poll does not run: only the announcement can cause a sync
    made = cordon(twilio, clock)
    async with (
        running(Membership([source], redis, clock=clock, sleep=sleep)) as one,
        running(Membership([source], redis, clock=clock, sleep=sleep)) as other,
    ):
        await wait_until(lambda: _listeners(redis, 2))
        store_cordon(operator, made)
        for worker in (one, other):
            await wait_until(lambda worker=worker: CODE in worker.cordons.reasons())
        release_cordon(operator, made, clock.now, "ann")
        for worker in (one, other):
            await wait_until(lambda worker=worker: not worker.cordons.reasons())
    assert stored_cordons(operator, clock.now) == ()


async def test_a_worker_reads_the_cordons_at_its_start_and_in_its_watch(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, operator: synchronous.Redis, clock: Clock
) -> None:
    here = Membership([source], redis, clock=clock)
    await here.watch()
    store_cordon(operator, cordon(twilio, clock, clock.now + 60))
    started = Membership([source], redis, clock=clock)
    for worker in (here, started):
        await worker.watch()
        assert worker.cordons.reasons()[CODE].endswith(": carrier incident")
    clock.now += 60
    assert here.cordons.reasons() == {}


async def test_a_cordon_is_stored_again_after_redis_lost_its_data(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, operator: synchronous.Redis, clock: Clock
) -> None:
    made = cordon(twilio, clock)
    here = Membership([source], redis, clock=clock)
    store_cordon(operator, made)
    await here.watch()
    operator.delete(CORDONS, CORDONS_VERSION)
    await here.watch()
    assert stored_cordons(operator, clock.now) == (made,)
    release_cordon(operator, made, clock.now, "ann")
    await here.watch()
    assert here.cordons.reasons() == {}


async def test_without_redis_the_cordons_stay_as_last_read(
    twilio: RecordedTwilio, source: ServiceSource, no_redis: Redis, clock: Clock
) -> None:
    here = Membership([source], no_redis, clock=clock)
    here.cordons.install([cordon(twilio, clock, clock.now + 60)])
    await here.watch()
    assert here.redis_error is not None
    assert CODE in here.cordons.reasons()


async def test_a_second_cordon_replaces_the_first_and_ended_ones_are_deleted(
    twilio: RecordedTwilio, redis: Redis, operator: synchronous.Redis, clock: Clock
) -> None:
    first = cordon(twilio, clock, clock.now + 60)
    store_cordon(operator, first)
    later = replace(first, reason="port", until=clock.now + 300)
    store_cordon(operator, later)
    assert stored_cordons(operator, clock.now) == (later,)
    store_cordon(operator, replace(first, sid="SC2", since=clock.now + 300, until=None))
    assert list(operator.hgetall(CORDONS)) == [b"SC2"]


async def test_malformed_cordons_are_left_out(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, operator: synchronous.Redis, clock: Clock
) -> None:
    store_cordon(operator, cordon(twilio, clock))
    operator.hset(CORDONS, "SC3", "{")
    operator.hset(CORDONS, "SC4", '{"colour": "red"}')
    for number, until in enumerate(("1e18", "253402343999", '"noon"', "NaN")):
        written = json.dumps(asdict(cordon(twilio, clock, until=0))).replace(
            '"until": 0', f'"until": {until}'
        )
        operator.hset(CORDONS, f"SC5{number}", written)
    here = Membership([source], redis, clock=clock)
    await here.watch()
    assert set(here.cordons.reasons()) == {CODE, "12345"}
    assert len(here.cordons.notices()) == 1


async def _listeners(redis: Redis, count: int) -> bool:
    counts = await everywhere(redis, "PUBSUB", "NUMSUB", POOLS_CHANNEL)
    return bool(sum(subscribed for _, subscribed in counts) >= count)
