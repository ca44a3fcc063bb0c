"""A change is in every worker at once, and nothing that was read before it replaces what was read after."""

from __future__ import annotations

import asyncio
import threading

import pytest
from redis.asyncio import Redis

from sms_router.membership.membership import Membership
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.snapshot_store import SharedStateError, SnapshotStore, StoreResult
from sms_router.membership.source import PoolReadError, ServiceSource
from sms_router.store.keys import POOLS_CHANNEL, PoolKeys
from tests.membership.recorded import RecordedTwilio, failing
from tests.membership.ticking import Clock, Pauses, eventually, running
from tests.store.shared_stores import everywhere


async def test_what_one_worker_reads_is_heard_by_the_others(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    here = Membership([source], redis, clock=clock)
    pauses = Pauses()  # the watch never wakes: only the announcement can bring the news
    async with running(Membership([source], redis, clock=clock, sleep=pauses)) as there:
        await pauses.begun(1)
        await eventually(lambda: _listeners(redis))
        twilio.add_short_code("67890")
        clock.now += 1
        await here.refresh(twilio.service_sid)
        await eventually(lambda: there.pool_for(None, "67890"))


async def test_an_announcement_that_was_missed_is_made_good_by_the_next_look(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    here, there = (Membership([source], redis, clock=clock) for _ in range(2))
    await here.refresh(twilio.service_sid)
    await there.watch()
    twilio.add_short_code("67890")
    clock.now += 1
    await here.refresh(twilio.service_sid)
    assert there.pool_for(None, "67890") is None
    await there.watch()
    assert there.pool_for(None, "67890") is not None


async def test_a_subscription_that_broke_is_renewed(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    pauses = Pauses()
    async with running(Membership([source], redis, clock=clock, sleep=pauses)) as there:
        await eventually(lambda: _listeners(redis))
        await everywhere(redis, "CLIENT", "KILL", "TYPE", "pubsub")
        await eventually(lambda: _deaf(redis))
        while not await _listeners(redis):
            pauses.end()
            await asyncio.sleep(0.005)
        twilio.add_short_code("67890")
        clock.now += 1
        await Membership([source], redis, clock=clock).refresh(twilio.service_sid)
        async with asyncio.timeout(20):
            while there.pool_for(None, "67890") is None:
                pauses.end()  # the client may have renewed the connection by itself, and lost it again
                await asyncio.sleep(0.005)


async def test_a_reading_begun_before_a_change_does_not_replace_the_one_made_after_it(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(now: float) -> Snapshot:
        snapshot = source.read(now)
        begun.set()
        go_on.wait()
        return snapshot

    ahead = Clock()
    ahead.now = clock.now + 3600  # its clock is wrong: by versions alone its old reading would win
    slow = Membership([ServiceSource(source.service_sid, slowly)], redis, clock=ahead)
    reading = asyncio.ensure_future(slow.refresh(twilio.service_sid))
    await asyncio.to_thread(begun.wait)
    twilio.add_short_code("67890")
    await Membership([source], redis, clock=clock).refresh_after_change(twilio.service_sid)
    go_on.set()
    await reading
    assert slow.pool_for(None, "67890") is not None
    fresh = Membership([source], redis, clock=clock)
    await fresh.sync()
    assert fresh.pool_for(None, "67890") is not None


async def test_a_change_that_its_maker_could_not_read_is_read_by_a_worker(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    pauses = Pauses()
    async with running(Membership([source], redis, clock=clock, sleep=pauses)) as worker:
        await pauses.begun(1)
        await redis.delete(PoolKeys.of(twilio.service_sid).refresh_lock)
        await eventually(lambda: _listeners(redis))
        twilio.add_short_code("67890")
        twilio.fault = failing(503, 20503)
        command = Membership([source], redis, clock=clock)
        with pytest.raises(PoolReadError, match="503"):
            await command.refresh_after_change(twilio.service_sid)
        twilio.fault = None
        await eventually(lambda: _turn_is_free(redis, twilio))
        while worker.pool_for(None, "67890") is None:  # its next turn, long before it is due
            pauses.end()
            await asyncio.sleep(0.005)


async def test_without_redis_nobody_can_be_told(source: ServiceSource, no_redis: Redis, clock: Clock) -> None:
    with pytest.raises(SharedStateError, match="ConnectionError"):
        await Membership([source], no_redis, clock=clock).refresh_after_change(source.service_sid)


async def test_storing_compares_before_it_sets(source: ServiceSource, redis: Redis, clock: Clock) -> None:
    shared, old = SnapshotStore(redis), source.read(clock())
    new = source.read(clock() + 1)
    assert await shared.confirm(new) is StoreResult.REFUSED
    assert await shared.publish(new, new.to_bytes()) is StoreResult.STORED
    assert await shared.publish(old, old.to_bytes()) is StoreResult.REFUSED
    assert await shared.confirm(old) is StoreResult.REFUSED
    assert await shared.confirm(new.confirmed(clock() + 60)) is StoreResult.STORED
    await shared.announce(source.service_sid, 1)
    assert await shared.confirm(new, 0) is StoreResult.OVERTAKEN
    assert await shared.confirm(new, 1) is StoreResult.STORED
    (state,) = await shared.load_states([source.service_sid])
    assert state.version is not None
    assert (state.version.version, state.version.changes, state.changes) == (new.version, 1, 1)


async def test_a_mark_whose_snapshot_was_evicted_counts_for_nothing(
    source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    membership = Membership([source], redis, clock=clock)
    await membership.refresh(source.service_sid)
    await redis.delete(PoolKeys.of(source.service_sid).snapshot)
    await membership.sync()
    fresh = Membership([source], redis, clock=clock)
    await fresh.sync()
    assert fresh.snapshot(source.service_sid) == membership.snapshot(source.service_sid)


async def test_replicas_wait_longer_for_each_others_failures(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    twilio.fault = failing(429, 20429)
    replicas = [Membership([source], redis, clock=clock) for _ in range(4)]
    delays = []
    for replica in replicas:
        delays.append(await replica.refresh_if_due(twilio.service_sid))
        await redis.delete(PoolKeys.of(twilio.service_sid).refresh_lock)
    assert delays == [1, 2, 4, 8]
    twilio.fault = None
    await replicas[0].refresh_if_due(twilio.service_sid)
    assert not await redis.exists(PoolKeys.of(twilio.service_sid).failure_count)


async def _listeners(redis: Redis) -> bool:
    return any(count for _, count in await everywhere(redis, "PUBSUB", "NUMSUB", POOLS_CHANNEL))


async def _deaf(redis: Redis) -> bool:
    """Tell whether nobody listens any more; a killed connection takes a moment to end."""
    return not await _listeners(redis)


async def _turn_is_free(redis: Redis, twilio: RecordedTwilio) -> bool:
    return not await redis.exists(PoolKeys.of(twilio.service_sid).refresh_lock)
