"""A change reaches every worker at once, and no earlier reading replaces a later one."""

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
from tests.membership.timing import Clock, ControlledSleep, running
from tests.store.shared_stores import everywhere
from tests.waiting import wait_until


async def test_an_announced_snapshot_reaches_the_other_workers(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    here = Membership([source], redis, clock=clock)
    sleep = ControlledSleep()  # the watch never runs: only the announcement can bring the change
    async with running(Membership([source], redis, clock=clock, sleep=sleep)) as there:
        await sleep.wait_for(1)
        await wait_until(lambda: _has_subscriber(redis))
        twilio.add_short_code("67890")
        clock.now += 1
        await here.refresh(twilio.service_sid)
        await wait_until(lambda: there.pool_for(None, "67890"))


async def test_the_watch_finds_a_snapshot_whose_announcement_was_lost(
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


async def test_a_lost_subscription_is_renewed(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    sleep = ControlledSleep()
    async with running(Membership([source], redis, clock=clock, sleep=sleep)) as there:
        await wait_until(lambda: _has_subscriber(redis))
        await everywhere(redis, "CLIENT", "KILL", "TYPE", "pubsub")
        await wait_until(lambda: _has_no_subscriber(redis))
        while not await _has_subscriber(redis):
            sleep.end_all()
            await asyncio.sleep(0.005)
        twilio.add_short_code("67890")
        clock.now += 1
        await Membership([source], redis, clock=clock).refresh(twilio.service_sid)
        async with asyncio.timeout(20):
            while there.pool_for(None, "67890") is None:
                sleep.end_all()  # the client may have renewed the connection, and lost it again
                await asyncio.sleep(0.005)


async def test_a_reading_that_began_before_a_change_does_not_replace_a_later_one(
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


async def test_a_change_that_the_command_could_not_read_is_read_by_a_worker(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    sleep = ControlledSleep()
    async with running(Membership([source], redis, clock=clock, sleep=sleep)) as worker:
        await sleep.wait_for(1)
        await redis.delete(PoolKeys.of(twilio.service_sid).refresh_lock)
        await wait_until(lambda: _has_subscriber(redis))
        twilio.add_short_code("67890")
        twilio.fault = failing(503, 20503)
        command = Membership([source], redis, clock=clock)
        with pytest.raises(PoolReadError, match="503"):
            await command.refresh_after_change(twilio.service_sid)
        twilio.fault = None
        await wait_until(lambda: _lock_is_free(redis, twilio))
        while worker.pool_for(None, "67890") is None:  # its next reading, long before it is due
            sleep.end_all()
            await asyncio.sleep(0.005)


async def test_without_redis_a_change_cannot_be_announced(
    source: ServiceSource, no_redis: Redis, clock: Clock
) -> None:
    with pytest.raises(SharedStateError, match="ConnectionError"):
        await Membership([source], no_redis, clock=clock).refresh_after_change(source.service_sid)


async def test_an_older_snapshot_is_not_stored(source: ServiceSource, redis: Redis, clock: Clock) -> None:
    shared, old = SnapshotStore(redis), source.read(clock())
    new = source.read(clock() + 1)
    assert await shared.publish(new, b"") is StoreResult.REFUSED
    assert await shared.publish(new, new.to_bytes()) is StoreResult.STORED
    assert await shared.publish(old, old.to_bytes()) is StoreResult.REFUSED
    assert await shared.publish(old, b"") is StoreResult.REFUSED
    assert await shared.publish(new.confirmed(clock() + 60), b"") is StoreResult.STORED
    await shared.announce(source.service_sid, 1)
    assert await shared.publish(new, b"", 0) is StoreResult.OVERTAKEN
    assert await shared.publish(new, b"", 1) is StoreResult.STORED
    (state,) = await shared.load_states([source.service_sid])
    assert state.version is not None
    assert (state.version.version, state.version.changes, state.changes) == (new.version, 1, 1)


async def test_a_version_whose_snapshot_was_evicted_is_ignored(
    source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    membership = Membership([source], redis, clock=clock)
    await membership.refresh(source.service_sid)
    await redis.delete(PoolKeys.of(source.service_sid).snapshot)
    await membership.sync()
    fresh = Membership([source], redis, clock=clock)
    await fresh.sync()
    assert fresh.snapshot(source.service_sid) == membership.snapshot(source.service_sid)


async def test_failures_of_other_replicas_increase_the_delay(
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


async def _has_subscriber(redis: Redis) -> bool:
    return any(count for _, count in await everywhere(redis, "PUBSUB", "NUMSUB", POOLS_CHANNEL))


async def _has_no_subscriber(redis: Redis) -> bool:
    """Return whether no worker is subscribed; a killed connection takes a moment to end."""
    return not await _has_subscriber(redis)


async def _lock_is_free(redis: Redis, twilio: RecordedTwilio) -> bool:
    return not await redis.exists(PoolKeys.of(twilio.service_sid).refresh_lock)
