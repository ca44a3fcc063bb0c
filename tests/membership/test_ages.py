"""The ages of a pool: stale pools, their count, and the metrics."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client import REGISTRY
from redis.asyncio import Redis

from sms_router.membership.membership import Membership
from sms_router.membership.source import ServiceSource
from sms_router.web.metrics import PoolMetrics
from tests.membership.recorded import RecordedTwilio, failing
from tests.membership.timing import Clock, ControlledSleep, only_status, running


async def test_a_stale_pool_is_used_and_each_use_is_counted(
    twilio: RecordedTwilio, source: ServiceSource, clock: Clock, no_redis: Redis
) -> None:
    membership = Membership([source], no_redis, clock=clock, stale_after=300)
    await membership.refresh(twilio.service_sid)
    for age, served in ((299, 0), (2, 1), (1000, 2)):
        clock.now += age
        await membership.watch()
        assert membership.pool_for(twilio.service_sid, "12345") is not None
        assert membership.pool_for("MG unknown", "+19995550000") is None
        assert only_status(membership).stale_uses == served
    await membership.refresh(twilio.service_sid)
    membership.pool_for(twilio.service_sid, "12345")
    assert (only_status(membership).stale, only_status(membership).stale_uses) == (False, 2)


async def test_a_service_with_a_long_interval_is_not_stale_before_two_readings_are_missing(
    source: ServiceSource, clock: Clock, no_redis: Redis
) -> None:
    daily = replace(source, refresh_after=86_400)
    membership = Membership([daily], no_redis, clock=clock)
    await membership.refresh(source.service_sid)
    clock.now += 2 * 86_400
    assert not only_status(membership).stale
    clock.now += 1
    assert only_status(membership).stale


async def test_the_watch_keeps_statuses_without_redis(
    source: ServiceSource, clock: Clock, no_redis: Redis
) -> None:
    membership = Membership([source], no_redis, clock=clock)
    await membership.watch()
    assert only_status(membership).size == 0
    await membership.refresh(source.service_sid)
    await membership.watch()
    assert only_status(membership).size == 2


async def test_the_metrics_have_age_version_size_and_counts(
    twilio: RecordedTwilio, source: ServiceSource, clock: Clock, no_redis: Redis
) -> None:
    figures = PoolMetrics()
    membership = Membership([source], no_redis, clock=clock, stale_after=10)

    async def watch() -> None:
        await membership.watch()
        figures.update(membership.statuses())

    await watch()
    assert _figure(twilio, "stale") == 1
    await membership.refresh(twilio.service_sid)
    twilio.fault = failing(500, 20500)
    clock.now += 121
    await watch()
    await membership.refresh_if_due(twilio.service_sid)
    membership.pool_for(twilio.service_sid, "12345")
    for _ in range(2):
        await watch()
    status = only_status(membership)
    names = ("age_seconds", "version", "senders", "stale")
    assert [_figure(twilio, name) for name in names] == [121, status.version, 2, 1]
    counts = ("refreshes_total", "failures_total", "stale_serves_total")
    assert [_figure(twilio, name) for name in counts] == [1, 1, 1]


async def test_jitter_spreads_the_readings_of_replicas(
    source: ServiceSource, clock: Clock, no_redis: Redis
) -> None:
    delays = []
    for _ in range(8):
        sleep = ControlledSleep()
        async with running(Membership([source], no_redis, clock=clock, sleep=sleep)):
            await sleep.wait_for(1)
        delays.append(sleep.delays[0])
    assert len(set(delays)) > 1
    assert all(54 <= seconds <= 66 for seconds in delays)


def _figure(twilio: RecordedTwilio, name: str) -> float | None:
    return REGISTRY.get_sample_value(f"sms_router_pool_{name}", {"service": twilio.service_sid})
