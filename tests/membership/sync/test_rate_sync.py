"""Rate limits of several workers over Redis, and of each worker alone while it is unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from sms_router.membership.snapshot_store import SharedStateError
from sms_router.membership.sync.rate_sync import RateSync
from sms_router.senders.models import Decision, Sender, SenderKind
from sms_router.senders.pool import Pool
from sms_router.senders.rate_limits import RateLimiter, RateLimits, SenderLimit
from sms_router.store.keys import SENDER_USAGE, SENDERS_LAST_USED
from tests.membership.timing import Clock
from tests.senders.builders import sender

LONG = sender("+14155550001")
LIMITS = RateLimits({SenderKind.LONG_CODE: SenderLimit(1, 5)})


@pytest.fixture
async def shared(redis: Redis) -> AsyncIterator[Redis]:
    await redis.delete(SENDERS_LAST_USED, SENDER_USAGE)
    yield redis
    await redis.delete(SENDERS_LAST_USED, SENDER_USAGE)


class Worker:
    """One worker's counts and their sync."""

    def __init__(
        self, redis: Redis, limits: RateLimits = LIMITS, senders: tuple[Sender, ...] = (LONG,)
    ) -> None:
        self.clock = Clock()
        self.rates = RateLimiter(limits, self.clock)
        self.pools = {"MG": Pool("MG", 1, senders)}
        self.sync = RateSync(redis, self.rates, lambda: self.pools, self.clock)

    def send(self, who: Sender = LONG, segments: int = 1, *, per_recipient: bool = False) -> None:
        self.rates.record_sent(Decision(who, who.address, (), per_recipient=per_recipient), segments)


async def now_of(redis: Redis) -> float:
    seconds, microseconds = await redis.time()
    return float(seconds) + microseconds / 1e6


async def workers(
    redis: Redis, count: int, limits: RateLimits = LIMITS, senders: tuple[Sender, ...] = (LONG,)
) -> list[Worker]:
    """Create workers with the time of Redis."""
    made = [Worker(redis, limits, senders) for _ in range(count)]
    for worker in made:
        worker.clock.now = await now_of(redis)
    return made


async def test_segments_of_one_worker_count_for_all(shared: Redis) -> None:
    one, other, idle = await workers(shared, 3)
    one.send(segments=2)
    other.send(segments=2)
    for worker in (one, other, idle, one, other):
        await worker.sync.sync()
    for worker in (one, other, idle):
        assert worker.rates.sent_today(LONG.sid) == 4
        assert worker.rates.over_rate() == {LONG.sid: "over its rate: 1 MPS"}
        assert worker.rates.capped() == {}
    idle.send()
    await idle.sync.sync()
    await one.sync.sync()
    assert one.rates.capped() == {LONG.sid: "at its daily cap: 5 segments"}
    one.clock.now += 3.9
    assert LONG.sid in one.rates.over_rate()
    one.clock.now += 1.2
    assert one.rates.over_rate() == {}


async def test_a_new_worker_reads_what_was_sent_today(shared: Redis) -> None:
    (one,) = await workers(shared, 1)
    one.send(segments=5)
    await one.sync.sync()
    (fresh,) = await workers(shared, 1)
    await fresh.sync.sync()
    assert fresh.rates.capped() == {LONG.sid: "at its daily cap: 5 segments"}


async def test_repeated_syncs_count_nothing_twice(shared: Redis) -> None:
    one, other = await workers(shared, 2)
    one.send(segments=3)
    for _ in range(5):
        await asyncio.gather(one.sync.sync(), other.sync.sync())
    assert other.rates.sent_today(LONG.sid) == one.rates.sent_today(LONG.sid) == 3


async def test_workers_with_different_clocks_agree_on_rates(shared: Redis) -> None:
    one, other = await workers(shared, 2)
    other.clock.now += 3600
    one.send(segments=3)
    await one.sync.sync()
    await other.sync.sync()
    assert LONG.sid in other.rates.over_rate()
    other.clock.now += 3.5
    assert other.rates.over_rate() == {}


async def test_many_senders_are_exchanged_in_bounded_parts(shared: Redis) -> None:
    senders = tuple(sender(f"+1212{5_000_000 + number}") for number in range(1000 + 7))
    one, other = await workers(shared, 2, LIMITS, senders)
    for each in senders:
        one.send(each, 5)
    await one.sync.sync()
    assert not one.rates.has_unreported
    await other.sync.sync()
    assert len(other.rates.capped()) == len(senders)


async def test_without_redis_a_worker_counts_alone_and_reports_later(no_redis: Redis, shared: Redis) -> None:
    one = Worker(no_redis)
    one.clock.now = await now_of(shared)
    one.send(segments=5)
    for _ in range(2):
        with pytest.raises(SharedStateError):
            await one.sync.sync()
    assert one.rates.capped() == {LONG.sid: "at its daily cap: 5 segments"}
    back = RateSync(shared, one.rates, lambda: one.pools, one.clock)
    await back.sync()
    (other,) = await workers(shared, 1)
    await other.sync.sync()
    assert other.rates.sent_today(LONG.sid) == 5


async def test_a_cap_holds_after_redis_lost_its_data(shared: Redis) -> None:
    (one,) = await workers(shared, 1)
    one.send(segments=5)
    await one.sync.sync()
    await shared.delete(SENDERS_LAST_USED, SENDER_USAGE)
    one.send()
    await one.sync.sync()
    assert one.rates.sent_today(LONG.sid) == 6
    assert one.rates.capped()


async def test_without_limits_no_command_is_sent(no_redis: Redis) -> None:
    idle = Worker(no_redis, RateLimits())
    await idle.sync.sync()
    idle.send(per_recipient=False, segments=0)
    await idle.sync.sync()


async def test_last_uses_of_equal_senders_are_shared(shared: Redis) -> None:
    one, other = Worker(shared, RateLimits()), Worker(shared, RateLimits())
    one.send(segments=0, per_recipient=True)
    await one.sync.sync()
    assert other.rates.used == {}
    other.send(sender("+12125550003"), 0, per_recipient=True)
    await other.sync.sync()
    assert set(other.rates.used) == {LONG.sid, sender("+12125550003").sid}


async def test_a_stop_reports_the_rest(shared: Redis) -> None:
    one, other = await workers(shared, 2)
    one.sync.start()
    one.send(segments=5)
    await one.sync.aclose()
    await other.sync.sync()
    assert other.rates.capped()


async def test_usage_from_before_the_clock_of_redis_was_set_back_ends_on_time(shared: Redis) -> None:
    one, other = await workers(shared, 2)
    one.send(segments=3)
    await one.sync.sync()
    usage: Any = await shared.hget(SENDER_USAGE, LONG.sid)
    busy, day, sent = usage.decode().split()
    await shared.hset(SENDER_USAGE, LONG.sid, f"{int(busy) + 3_600_000} {day} {sent}")
    used = await shared.zscore(SENDERS_LAST_USED, LONG.sid)
    assert used is not None
    await shared.zadd(SENDERS_LAST_USED, {LONG.sid: used + 3_600_000_000})
    await other.sync.sync()
    assert other.rates.over_rate() == {LONG.sid: "over its rate: 1 MPS"}
    assert other.rates.sent_today(LONG.sid) == 3
    other.clock.now += 4
    assert other.rates.over_rate() == {}
