"""Receipt counts shared by several workers over Redis: one window, one warning."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from sms_router.membership.sync import failure_sync
from sms_router.membership.sync.failure_sync import FailureSync
from sms_router.senders.failure_monitor import FailureMonitor, WarningRule
from sms_router.store.keys import FAILURE_REPORTS, failure_alert
from tests.membership.timing import Clock

RULE = WarningRule(share=0.25, at_least=20, window=600)
BEGUN = "12345: 50% of its messages fail (error class sender): 10 of 20 in the last 600 s"
OVER = "12345 no longer fails too often (error class sender)"


@pytest.fixture
async def shared(redis: Redis) -> AsyncIterator[Redis]:
    await redis.delete(FAILURE_REPORTS, failure_alert("12345", "sender"))
    yield redis
    await redis.delete(FAILURE_REPORTS, failure_alert("12345", "sender"))


class Worker:
    def __init__(self, redis: Redis) -> None:
        self.clock = Clock()
        self.failures = FailureMonitor(RULE, self.clock)
        self.sync = FailureSync(redis, self.failures, time.time)

    def record(self, delivered: int, failed: int) -> None:
        for _ in range(delivered):
            self.failures.record("12345", None)
        for _ in range(failed):
            self.failures.record("12345", "sender")

    @property
    def failing(self) -> list[str]:
        return [str(each) for each in self.failures.failing()]


async def test_the_receipts_of_all_workers_make_one_warning_that_is_logged_once(
    shared: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sms_router.senders")
    one, other = Worker(shared), Worker(shared)
    one.record(5, 5)
    other.record(5, 5)
    for worker in (one, other, one, other):
        await worker.sync.sync()
    assert one.failing == other.failing == [BEGUN]
    assert caplog.messages == [BEGUN]
    started = Worker(shared)
    await started.sync.sync()
    assert started.failing == [BEGUN]
    assert caplog.messages == [BEGUN]
    for worker in (one, other, started):
        worker.clock.now += 601
        await worker.sync.sync()
    assert caplog.messages == [BEGUN, OVER]
    assert await shared.exists(failure_alert("12345", "sender")) == 0


async def test_without_redis_each_worker_logs_its_own_warning_and_reports_later(
    no_redis: Redis, shared: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    alone = Worker(no_redis)
    alone.record(10, 10)
    await alone.sync.sync()
    assert BEGUN in caplog.messages
    other = Worker(shared)
    await FailureSync(shared, alone.failures, time.time).sync()
    await other.sync.sync()
    assert other.failing == [BEGUN]


async def test_malformed_entries_are_ignored(shared: Redis) -> None:
    await shared.xadd(FAILURE_REPORTS, {"who": "x", "seen": "[[1]]"})
    await shared.xadd(FAILURE_REPORTS, {"colour": "red"})
    one = Worker(shared)
    one.record(10, 10)
    await one.sync.sync()
    assert one.failing == [BEGUN]


async def test_it_starts_and_stops(shared: Redis) -> None:
    one = Worker(shared)
    one.sync.start()
    await one.sync.aclose()


async def test_counts_that_do_not_fit_into_one_entry_go_into_the_next(
    shared: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failure_sync, "MAX_COUNTS_WRITTEN", 1)
    one, other = Worker(shared), Worker(shared)
    one.record(11, 10)
    for worker in (one, one, other):
        await worker.sync.sync()
    assert other.failing == [
        "12345: 48% of its messages fail (error class sender): 10 of 21 in the last 600 s"
    ]
