"""The outbox worker: order, retries and their delays, bounds, faults of the handler, and the stop."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

import pytest

from sms_router.delivery import outbox_worker
from sms_router.delivery.entry import MessagePart, OutboxEntry, ReplyKind
from sms_router.delivery.message import (
    Accepted,
    NotProcessed,
    OutboundSms,
    PutOff,
    Rejected,
    SendLease,
    SendResult,
)
from sms_router.delivery.outbox_worker import OutboxWorker, backoff
from sms_router.store.keys import bucket_of
from sms_router.twilio.twiml import OutboundMessage, render
from tests.delivery.outbox_fixture import CONTACT, OutboxFixture, sms_of
from tests.waiting import wait_until


async def _do_nothing(_: object) -> None:
    """Return at once."""


@dataclass(slots=True)
class RecordingHandler:
    """Builds every message, and records its calls."""

    resumed: list[OutboxEntry] = field(default_factory=list)
    results: list[SendResult] = field(default_factory=list)
    refused: list[OutboxEntry] = field(default_factory=list)
    on_resume: Callable[[OutboxEntry], Awaitable[None]] = _do_nothing
    failing: tuple[str, ...] = ()
    resends: bool = False
    until: float = 0

    async def resume(self, entry: OutboxEntry) -> None:
        self.resumed.append(entry)
        await self.on_resume(entry)

    async def build_message(
        self, entry: OutboxEntry, part: MessagePart, lease: SendLease
    ) -> OutboundSms | PutOff:
        assert lease.request
        if self.until:
            return PutOff(self.until)
        if "build_message" in self.failing:
            raise ValueError("build_message fails")
        return sms_of(entry, part)

    async def on_refused(self, entry: OutboxEntry, part: MessagePart) -> None:
        assert entry.part == part
        self.refused.append(entry)

    async def on_result(
        self, entry: OutboxEntry, part: MessagePart, message: OutboundSms, result: SendResult
    ) -> bool:
        assert (entry.part, message.text) == (part, f"text {part.number}")
        self.results.append(result)
        if "on_result" in self.failing:
            raise ValueError("on_result fails")
        return self.resends and not part.resend


@dataclass(slots=True)
class FakeTwilio:
    """Accepts messages while ``open`` is set, and returns the queued results, then success."""

    calls: list[str] = field(default_factory=list)
    results: list[SendResult] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    concurrent: int = 0
    max_concurrent: int = 0

    async def send(self, message: OutboundSms) -> SendResult:
        self.calls.append(message.text)
        self.concurrent += 1
        self.max_concurrent = max(self.max_concurrent, self.concurrent)
        try:
            await self.open.wait()
        finally:
            self.concurrent -= 1
        return self.results.pop(0) if self.results else Accepted(f"SM{len(self.calls):032x}")


def sending() -> list[str]:
    """Return the names of the tasks that send messages."""
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("outbox ")]


@pytest.fixture
def twilio() -> FakeTwilio:
    one = FakeTwilio()
    one.open.set()
    return one


@pytest.fixture
def handler() -> RecordingHandler:
    return RecordingHandler()


@pytest.fixture
def reports() -> Counter[tuple[str, str]]:
    return Counter()


@contextlib.asynccontextmanager
async def running_worker(
    fixture: OutboxFixture,
    twilio: FakeTwilio,
    handler: RecordingHandler,
    reports: Counter[tuple[str, str]] | None = None,
) -> AsyncIterator[OutboxWorker]:
    counts = Counter[tuple[str, str]]() if reports is None else reports
    one = OutboxWorker(fixture.outbox, twilio.send, lambda *report: counts.update([report]))
    one.start(handler)
    try:
        yield one
    finally:
        twilio.open.set()
        await one.aclose()


async def test_a_due_message_is_sent_once_and_reported(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler, reports: Counter[tuple[str, str]]
) -> None:
    entries = [await fixture.enqueue_reply(number) for number in range(1, 21)]
    async with (
        running_worker(fixture, twilio, handler, reports),
        running_worker(fixture, twilio, handler, reports),
    ):
        await wait_until(lambda: not fixture.waiting())
    assert [fixture.state(entry)["state"] for entry in entries] == ["sent"] * 20
    assert (len(twilio.calls), reports) == (20, {("late", "sent"): 20})


async def test_a_wake_up_does_not_wait_for_the_next_poll(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_worker, "POLL_INTERVAL", 100_000.0)
    async with running_worker(fixture, twilio, handler) as one:
        one.wake((await fixture.enqueue_reply(1)).contact)
        await wait_until(lambda: len(twilio.calls) == 1)
        one.wake((await fixture.enqueue_reply(2)).contact)
        await wait_until(lambda: len(twilio.calls) == 2)


async def test_a_stop_just_after_a_wake_up_is_not_lost(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler
) -> None:
    async with running_worker(fixture, twilio, handler) as one:
        for _ in range(100):
            await asyncio.sleep(0.005)  # until it waits for a wake-up
        one.wake(CONTACT)
        async with asyncio.timeout(10):
            assert await one.aclose()


@pytest.mark.slow
async def test_the_messages_of_one_reply_are_sent_in_order(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler
) -> None:
    await fixture.enqueue_reply(texts=10)
    async with running_worker(fixture, twilio, handler), running_worker(fixture, twilio, handler):
        await wait_until(lambda: len(twilio.calls) == 10)
    assert twilio.calls == [f"text {number}" for number in range(10)]


async def test_a_message_that_waits_for_a_call_slot_is_not_lost(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twilio is slow: leased entries become due again, and other workers lease them too."""
    monkeypatch.setattr(outbox_worker, "POLL_INTERVAL", 0.2)
    twilio.open.clear()
    for number in range(1, 3 * 8 + 1):
        await fixture.enqueue_reply(number)
    async with running_worker(fixture, twilio, handler), running_worker(fixture, twilio, handler):
        for _ in range(4):
            fixture.make_due(marked=False)
            await wait_until(
                lambda: all(due > 1 for due in fixture.waiting().values())
            )  # a worker has leased it
        await wait_until(lambda: twilio.concurrent == 2 * 8)
        twilio.open.set()
        while fixture.waiting():
            fixture.make_due(marked=False)
            await asyncio.sleep(0.01)
    assert len(twilio.calls) == 3 * 8
    assert fixture.dead_letter_causes() == []


@pytest.mark.slow
async def test_the_messages_and_calls_in_progress_are_bounded(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler
) -> None:
    twilio.open.clear()
    for number in range(1, 6 * 64 + 1):
        await fixture.enqueue_reply(number, contact=f"+1415555{number:04d}")
    counts = []
    async with running_worker(fixture, twilio, handler):

        def sending_at_least(calls: int) -> bool:
            counts.append(len(sending()))
            return len(twilio.calls) >= calls

        await wait_until(lambda: sending_at_least(8) and counts[-1] >= 64)
        twilio.open.set()
        await wait_until(lambda: sending_at_least(6 * 64))
    assert twilio.max_concurrent == 8
    assert max(counts) <= 2 * 64


async def test_a_malformed_entry_does_not_stop_the_others(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler
) -> None:
    fixture.valkey.zadd(bucket_of(CONTACT).outbox, {b"of tomorrow": 0, b"\xff \xff": 0, b"a late.x c d": 0})
    fixture.valkey.pexpire(bucket_of(CONTACT).outbox, 60_000)
    await fixture.enqueue_reply()
    async with running_worker(fixture, twilio, handler):
        await wait_until(lambda: twilio.calls)


async def test_a_broken_bucket_does_not_stop_the_others(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler
) -> None:
    other = "+14155550199"
    assert bucket_of(other) is not bucket_of(CONTACT)
    fixture.valkey.set(bucket_of(other).outbox, "somebody else's", px=60_000)
    await fixture.enqueue_reply()
    async with running_worker(fixture, twilio, handler):
        await wait_until(lambda: twilio.calls)


async def test_a_result_is_stored_when_the_handler_fails_to_process_it(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler
) -> None:
    handler.failing = ("on_result",)
    entry = await fixture.enqueue_reply()
    async with running_worker(fixture, twilio, handler):
        await wait_until(lambda: not fixture.waiting())
    assert fixture.state(entry)["state"] == "sent"


async def test_a_message_that_cannot_be_composed_is_a_dead_letter_and_is_not_sent(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler
) -> None:
    handler.failing = ("build_message",)
    entry = await fixture.enqueue_reply()
    async with running_worker(fixture, twilio, handler):
        await wait_until(lambda: not fixture.waiting())
    assert fixture.state(entry)["state"] == "withdrawn"
    assert fixture.dead_letter_causes() == ["late.0: it could not be composed: ValueError"]
    assert twilio.calls == []


async def test_the_messages_of_a_reply_that_were_leased_at_once_are_sent_in_order(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler
) -> None:
    work = fixture.add_message()
    document = render([OutboundMessage(f"text {number}") for number in range(3)])
    assert await fixture.outbox.enqueue(work, ReplyKind.LATE, document, "a rule", 3, "late", is_leased=True)
    assert await fixture.outbox.lease_due(bucket_of(CONTACT), 5) == []
    async with running_worker(fixture, twilio, handler) as worker:
        assert worker.has_room
        worker.send([work._replace(name=f"late.{number}") for number in range(3)])
        await wait_until(lambda: not fixture.waiting())
    assert twilio.calls == ["text 0", "text 1", "text 2"]
    assert not worker.has_room


async def test_a_worker_that_has_polled_as_much_as_it_sends_at_once_has_room_for_its_own_replies(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_worker, "MAX_CONCURRENT_ENTRIES", 1)
    twilio.open.clear()
    await fixture.enqueue_reply(1)
    async with running_worker(fixture, twilio, handler) as worker:
        await wait_until(lambda: twilio.calls)
        assert worker.has_room
        worker.send([await fixture.enqueue_reply(2)])
        assert not worker.has_room


async def test_messages_that_must_not_leave_now_are_scheduled_again(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler
) -> None:
    handler.until = time.time() + 10 * 3600
    entry = await fixture.enqueue_reply(texts=2)
    scheduled = bucket_of(CONTACT).scheduled
    async with running_worker(fixture, twilio, handler):
        await wait_until(lambda: fixture.valkey.zcard(scheduled) == 2)
    assert (fixture.waiting(), twilio.calls) == ({}, [])
    states = [fixture.state(entry._replace(name=name))["state"] for name in ("late.0", "late.1")]
    assert states == ["waiting"] * 2
    handler.until = 0
    for line in cast("list[bytes]", fixture.valkey.zrange(scheduled, 0, -1)):
        fixture.valkey.zadd(scheduled, {line: 1})
    async with running_worker(fixture, twilio, handler):
        await wait_until(lambda: len(twilio.calls) == 2)


async def test_a_message_that_twilio_has_not_processed_is_sent_again_before_the_next_ones(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler, reports: Counter[tuple[str, str]]
) -> None:
    twilio.results = [NotProcessed("429"), NotProcessed("429")]
    entry = await fixture.enqueue_reply(texts=3)
    async with running_worker(fixture, twilio, handler, reports):
        for tries in (1, 2):
            await wait_until(lambda: fixture.state(entry).get("tries") == tries and not sending())  # noqa: B023
            assert len(fixture.waiting()) == 3
            fixture.make_due()
        await wait_until(lambda: not fixture.waiting())
    assert twilio.calls == ["text 0", "text 0", "text 0", "text 1", "text 2"]
    assert reports == {("late", "postponed"): 2, ("late", "sent"): 3}


@pytest.fixture
def jitter(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Replace the jitter by its middle; return the ranges that it was drawn from."""
    ranges: list[tuple[float, float]] = []

    def middle(low: float, high: float) -> float:
        ranges.append((low, high))
        return (low + high) / 2

    monkeypatch.setattr(random, "uniform", middle)
    return ranges


def test_the_delay_after_a_429_doubles_from_one_second_to_a_minute(jitter: list[tuple[float, float]]) -> None:
    delays = [backoff(retries) for retries in (0, 1, 2, 3, 4, 5, 6, 7, 8, 1000)]
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert set(jitter) == {(0.8, 1.2)}


async def test_each_429_of_a_message_delays_it_longer(
    fixture: OutboxFixture,
    twilio: FakeTwilio,
    handler: RecordingHandler,
    jitter: list[tuple[float, float]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    twilio.results = [NotProcessed("429")] * 4
    entry = await fixture.enqueue_reply()
    async with running_worker(fixture, twilio, handler):
        for tries in (1, 2, 3, 4):
            await wait_until(lambda: fixture.state(entry).get("tries") == tries and not sending())  # noqa: B023
            fixture.make_due()
        await wait_until(lambda: not fixture.waiting())
    assert caplog.messages == [
        "a message waits (Twilio has not processed it: 429); trying again in 1 s",
        "a message waits (Twilio has not processed it: 429); trying again in 2 s",
        "a message waits (Twilio has not processed it: 429); trying again in 4 s",
        "a message waits (Twilio has not processed it: 429); trying again in 8 s",
    ]


async def test_a_postponed_message_is_due_after_its_delay(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler, jitter: list[tuple[float, float]]
) -> None:
    """It is due in 16 s after four failed attempts, so that no poll of this test sends it."""
    entry = await fixture.enqueue_reply(texts=2)
    for _ in range(4):
        lease = await fixture.mark_sending(entry)
        assert isinstance(lease, SendLease)
        assert entry.part is not None
        await fixture.outbox.postpone(entry, entry.part, 0.0, lease.mark)
    twilio.results = [NotProcessed("429")]
    async with running_worker(fixture, twilio, handler):
        await wait_until(lambda: fixture.state(entry).get("tries") == 5 and not sending())
        due_in = sorted(fixture.waiting().values())
    assert len(due_in) == 2
    assert all(6 < seconds <= 16 for seconds in due_in)


async def test_a_rejected_message_is_sent_once_more_when_the_handler_requests_it(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler
) -> None:
    twilio.results = [Rejected(21612, "no way"), Rejected(21612, "no way either")]
    handler.resends = True
    entry = await fixture.enqueue_reply()
    async with running_worker(fixture, twilio, handler):
        await wait_until(lambda: not fixture.waiting())
    again = fixture.state(entry._replace(name="late.0.again"))
    assert (fixture.state(entry)["state"], again["state"], again["failed_sender"]) == (
        "refused",
        "refused",
        "12345",
    )
    assert fixture.dead_letter_causes() == ["late.0.again: no way either"]


# --- stop ---


async def test_a_stop_waits_for_calls_in_progress_and_starts_none(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler
) -> None:
    twilio.open.clear()
    entries = [await fixture.enqueue_reply(number) for number in range(1, 3 * 8 + 1)]
    async with running_worker(fixture, twilio, handler) as one:
        await wait_until(lambda: len(twilio.calls) == 8)
        stopping = asyncio.create_task(one.aclose())
        await asyncio.sleep(0)  # aclose has begun
        twilio.open.set()
        assert await stopping
    states = Counter(fixture.state(entry)["state"] for entry in entries)
    assert states == {"sent": 8, "waiting": 2 * 8}


async def test_a_finishing_worker_resumes_no_handler(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler
) -> None:
    work = fixture.add_message(1)
    async with running_worker(fixture, twilio, handler) as one:
        one.finish()
        fixture.valkey.zadd(bucket_of(CONTACT).outbox, {work.line: 0})
        fixture.valkey.pexpire(bucket_of(CONTACT).outbox, 60_000)
        entry = await fixture.enqueue_reply(2)
        one.wake(entry.contact)
        await wait_until(lambda: twilio.calls)
    assert handler.resumed == []


async def test_a_stop_does_not_wait_without_limit_for_a_handler_that_ignores_cancellation(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_worker, "DRAIN_TIMEOUT", 0.1)
    over = asyncio.Event()

    async def stubborn(_: OutboxEntry) -> None:
        while not over.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await over.wait()

    handler.on_resume = stubborn
    fixture.valkey.zadd(bucket_of(CONTACT).outbox, {fixture.add_message(1).line: 0})
    fixture.valkey.pexpire(bucket_of(CONTACT).outbox, 60_000)
    async with running_worker(fixture, twilio, handler) as one:
        await wait_until(lambda: handler.resumed)
        async with asyncio.timeout(10):
            assert not await one.aclose()
        over.set()
        assert await one.aclose()


async def test_handlers_that_take_long_do_not_delay_messages(
    fixture: OutboxFixture, twilio: FakeTwilio, handler: RecordingHandler
) -> None:
    over = asyncio.Event()

    async def long(_: OutboxEntry) -> None:
        await over.wait()

    handler.on_resume = long
    for number in range(1, 2 * 64 + 1):
        fixture.valkey.zadd(bucket_of(CONTACT).outbox, {fixture.add_message(number).line: 0})
    fixture.valkey.pexpire(bucket_of(CONTACT).outbox, 60_000)
    async with running_worker(fixture, twilio, handler) as one:
        await wait_until(lambda: len(handler.resumed) == 64)
        entry = await fixture.enqueue_reply(5000)
        one.wake(entry.contact)
        await wait_until(lambda: twilio.calls)
        assert len(handler.resumed) == 64
        over.set()
