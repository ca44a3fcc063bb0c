"""The Sender Pools in memory, in every state of Twilio and Redis."""

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from sms_router.membership.membership import Membership
from sms_router.membership.service_state import SnapshotOrigin
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.source import PoolReadError, ServiceSource
from sms_router.store.keys import PoolKeys
from tests.membership.recorded import Fault, RecordedTwilio, answering, failing, page_two
from tests.membership.timing import Clock, ControlledSleep, only_status, running


async def stored(source: ServiceSource, redis: Redis, clock: Clock) -> Snapshot:
    """Let another worker read and store the Service."""
    return await Membership([source], redis, clock=clock).refresh(source.service_sid)


async def test_a_worker_starts_with_the_stored_snapshot(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    snapshot = await stored(source, redis, clock)
    twilio.requests.clear()
    async with running(Membership([source], redis, clock=clock)) as membership:
        pool = membership.pool_for(twilio.service_sid, "12345")
        assert pool is not None
        assert (pool.version, pool.senders) == (snapshot.version, snapshot.senders)
        assert only_status(membership).origin is SnapshotOrigin.STORED
    assert twilio.requests == []


async def test_an_old_stored_snapshot_is_used_while_twilio_is_down(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    await stored(source, redis, clock)
    twilio.fault = failing(503, 20503)
    clock.now += 90_000
    sleep = ControlledSleep()
    async with running(Membership([source], redis, clock=clock, sleep=sleep)) as membership:
        await sleep.wait_for(1)
        status = only_status(membership)
        assert membership.pool_for(twilio.service_sid, "12345") is not None
        assert (status.age, status.stale, status.origin) == (90_000, True, SnapshotOrigin.STORED)
        assert status.failure is not None
        assert "503" in status.failure


async def test_without_redis_twilio_is_read(
    twilio: RecordedTwilio, source: ServiceSource, no_redis: Redis, clock: Clock
) -> None:
    async with running(Membership([source], no_redis, clock=clock)) as membership:
        await membership.wait_until_read(10)
        assert membership.pool_for(twilio.service_sid, "12345") is not None
        assert only_status(membership).origin is SnapshotOrigin.TWILIO
        assert membership.redis_error == "Redis is unavailable (ConnectionError)"


async def test_without_both_the_pool_is_unknown_and_each_error_is_logged_once(
    twilio: RecordedTwilio,
    source: ServiceSource,
    no_redis: Redis,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    twilio.fault = failing(401, 20003)
    membership = Membership([source], no_redis, clock=clock)
    with caplog.at_level(logging.INFO, "sms_router.membership"):
        for _ in range(3):
            await membership.sync()
            await membership.refresh_if_due(twilio.service_sid)
    assert membership.pool_for(twilio.service_sid, "12345") is None
    status = only_status(membership)
    assert (status.origin, status.size, status.age, status.version) == (SnapshotOrigin.NOTHING, 0, None, None)
    assert (status.stale, status.failures, status.refreshes) == (True, 3, 0)
    assert [record.message for record in caplog.records] == [
        "Redis is unavailable (ConnectionError); the Sender Pools are kept in memory only",
        f"{status.failure}; there is no snapshot yet",
    ]


async def test_a_router_without_services_has_no_pools(redis: Redis) -> None:
    async with running(Membership([], redis)) as membership:
        await membership.wait_until_read(1)
        assert membership.pool_for("MG1", "12345") is None
        assert membership.statuses() == ()


async def test_a_changed_snapshot_reaches_the_other_worker(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    here, there = (Membership([source], redis, clock=clock) for _ in range(2))
    before = await here.refresh(twilio.service_sid)
    await there.sync()
    twilio.add_short_code("67890")
    after = await here.refresh(twilio.service_sid)
    await there.sync()
    assert after.version > before.version
    assert there.snapshot(twilio.service_sid) == after
    pool = there.pool_for(None, "67890")
    assert pool is not None
    assert pool.version == after.version


async def test_a_reading_without_a_change_only_updates_the_age(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    here, there = (Membership([source], redis, clock=clock) for _ in range(2))
    first = await here.refresh(twilio.service_sid)
    await there.sync()
    pools = here.pools, there.pools
    clock.now += 60
    again = await here.refresh(twilio.service_sid)
    await there.sync()
    assert (again.version, again.read_at) == (first.version, first.read_at + 60)
    assert (here.pools, there.pools) == pools
    assert here.pools[twilio.service_sid] is pools[0][twilio.service_sid]
    assert there.pools[twilio.service_sid] is pools[1][twilio.service_sid]
    assert (only_status(here).age, only_status(there).age) == (0, 0)


@pytest.mark.parametrize(
    "fault",
    [
        failing(429, 20429),
        failing(500, 20500, where="IncomingPhoneNumbers"),
        page_two(failing(500, 20500)),
        answering("<html>Log in</html>"),
        answering('{"meta": {"key": "short_codes"}', where="ShortCodes"),
    ],
    ids=["too many", "one list", "second page", "not JSON", "cut short"],
)
async def test_a_failed_reading_never_replaces_a_good_one(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock, fault: Fault
) -> None:
    for index in range(3):
        twilio.add_short_code(f"6789{index}")
    membership = Membership([source], redis, clock=clock)
    good = await membership.refresh(twilio.service_sid)
    twilio.fault = fault
    with pytest.raises(PoolReadError):
        await membership.refresh(twilio.service_sid)
    assert membership.snapshot(twilio.service_sid) == good
    fresh = Membership([source], redis, clock=clock)
    await fresh.sync()
    assert fresh.snapshot(twilio.service_sid) == good


async def test_only_the_worker_with_the_lock_reads(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    workers = [Membership([source], redis, clock=clock) for _ in range(4)]
    await asyncio.gather(*(worker.refresh_if_due(twilio.service_sid) for worker in workers))
    assert sum(path.endswith(twilio.service_sid) for path in twilio.requests) == 1
    await asyncio.gather(*(worker.sync() for worker in workers))
    assert all(worker.pool_for(twilio.service_sid, "12345") for worker in workers)


async def test_no_reading_before_it_is_due(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    membership = Membership([source], redis, clock=clock)
    assert await membership.refresh_if_due(twilio.service_sid) == 60
    twilio.requests.clear()
    clock.now += 45
    assert await membership.refresh_if_due(twilio.service_sid) == 15
    assert twilio.requests == []


@pytest.mark.parametrize("wrong", [3600, 86_400])
async def test_a_reading_stamped_by_a_clock_that_was_ahead_is_repeated_by_one_worker(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock, wrong: float
) -> None:
    ahead = Clock()
    ahead.now = clock.now + wrong
    await Membership([source], redis, clock=ahead).refresh(twilio.service_sid)
    here, there = (Membership([source], redis, clock=clock) for _ in range(2))
    for worker in (here, there):
        await worker.sync()
    twilio.requests.clear()
    assert await here.refresh_if_due(twilio.service_sid) == 60
    assert twilio.requests
    await there.sync()
    twilio.requests.clear()
    assert await there.refresh_if_due(twilio.service_sid) == 60
    assert not twilio.requests
    assert only_status(there).age == 0


async def test_a_lock_from_before_the_clock_of_redis_was_set_back_is_shortened(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    turn = PoolKeys.of(twilio.service_sid).refresh_lock
    membership = Membership([source], redis, clock=clock)
    for left, after in ((3_600_000, 61_000), (300_000, 300_000)):
        await redis.set(turn, 1, px=left)
        assert await membership.refresh_if_due(twilio.service_sid) == 2
        assert after - 5000 < await redis.pttl(turn) <= after


async def test_the_delay_after_failed_readings_doubles_up_to_five_minutes(
    twilio: RecordedTwilio, source: ServiceSource, no_redis: Redis, clock: Clock
) -> None:
    membership = Membership([source], no_redis, clock=clock)
    twilio.fault = failing(500, 20500)
    delays = [await membership.refresh_if_due(twilio.service_sid) for _ in range(11)]
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    twilio.fault = None
    assert await membership.refresh_if_due(twilio.service_sid) == 60
    assert (only_status(membership).failure, only_status(membership).failures) == (None, 11)


async def test_a_snapshot_that_redis_lost_is_stored_again(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, clock: Clock
) -> None:
    membership = Membership([source], redis, clock=clock)
    good = await membership.refresh(twilio.service_sid)
    await redis.delete(*[key async for key in redis.scan_iter(f"*{twilio.service_sid}*")])
    clock.now += 60
    await membership.refresh(twilio.service_sid)
    await membership.sync()
    fresh = Membership([source], redis, clock=clock)
    await fresh.sync()
    assert fresh.snapshot(twilio.service_sid) == membership.snapshot(twilio.service_sid)
    assert good.same_content(fresh.snapshot(twilio.service_sid) or good)


async def test_a_stored_snapshot_of_another_format_is_skipped_and_logged_once(
    twilio: RecordedTwilio,
    source: ServiceSource,
    redis: Redis,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await stored(source, redis, clock)
    await redis.set(f"sms-router:pool:{{{twilio.service_sid}}}", b'{"format": 99}')
    membership = Membership([source], redis, clock=clock)
    await membership.sync()
    await membership.sync()
    assert membership.pool_for(twilio.service_sid, "12345") is None
    assert [record.message for record in caplog.records] == [
        f"{twilio.service_sid}: the stored snapshot is not of format 1"
    ]
    clock.now += 1
    await membership.refresh(twilio.service_sid)
    fresh = Membership([source], redis, clock=clock)
    await fresh.sync()
    assert fresh.pool_for(twilio.service_sid, "12345") is not None


async def test_a_hanging_reading_continues_and_no_other_one_starts(clock: Clock, no_redis: Redis) -> None:
    release, calls = threading.Event(), 0

    def hang(now: float) -> Snapshot:
        nonlocal calls
        calls += 1
        release.wait()
        raise AssertionError("nobody waits for this any more")

    membership = Membership([ServiceSource("MG1", hang)], no_redis, clock=clock, read_timeout=0.02)
    try:
        with pytest.raises(PoolReadError, match=r"took longer than 0\.02 s"):
            await membership.refresh("MG1")
        with pytest.raises(PoolReadError, match="has not returned yet"):
            await membership.refresh("MG1")
        assert calls == 1
    finally:
        release.set()


async def test_the_start_does_not_wait_for_twilio_and_the_stop_leaves_no_task(
    clock: Clock, no_redis: Redis
) -> None:
    release = threading.Event()

    def hang(now: float) -> Snapshot:
        release.wait()
        raise AssertionError("nobody waits for this any more")

    before = asyncio.all_tasks()
    membership = Membership([ServiceSource("MG1", hang)], no_redis, clock=clock)
    await membership.start()
    await membership.wait_until_read(0.01)
    assert membership.pool_for("MG1", "12345") is None
    await membership.aclose()
    release.set()
    leftover = [task for task in asyncio.all_tasks() - before if task.get_name().startswith("membership")]
    assert leftover == []


async def test_the_background_refreshes_when_due_and_continues_after_an_error(
    twilio: RecordedTwilio,
    source: ServiceSource,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    no_redis: Redis,
) -> None:
    reads: list[Callable[[float], Snapshot]] = [source.read, _broken, source.read]

    def read(now: float) -> Snapshot:
        return reads.pop(0)(now)

    flaky = ServiceSource(source.service_sid, read)
    sleep = ControlledSleep()
    async with running(Membership([flaky], no_redis, clock=clock, sleep=sleep)) as membership:
        await sleep.wait_for(1)
        for turn in (2, 3):
            twilio.add_short_code(f"6789{turn}")
            clock.now += 61
            sleep.end_all()
            await sleep.wait_for(turn)
        assert membership.pool_for(None, "67893") is not None
    assert 54 <= sleep.delays[0] <= 66
    assert [record.message for record in caplog.records if record.exc_info] == [
        f"the senders of {source.service_sid} could not be refreshed"
    ]


def _broken(now: float) -> Snapshot:
    raise ZeroDivisionError


async def test_the_service_of_the_message_has_precedence_over_the_one_that_holds_the_number(
    twilio: RecordedTwilio, source: ServiceSource, clock: Clock, no_redis: Redis
) -> None:
    other = "MG" + "b" * 32

    def read_other(now: float) -> Snapshot:
        return Snapshot.from_bytes(
            source.read(now).to_bytes().replace(source.service_sid.encode(), other.encode())
        )

    membership = Membership([source, ServiceSource(other, read_other)], no_redis, clock=clock)
    for sid in (source.service_sid, other):
        await membership.refresh(sid)
    assert membership.pool_for(other, "12345") is membership.pools[other]
    assert membership.pool_for(None, "12345") is membership.pools[source.service_sid]
    assert membership.pool_for("MG" + "c" * 32, "+14155550001") is membership.pools[source.service_sid]
    assert membership.pool_for(None, "+14155559999") is None
