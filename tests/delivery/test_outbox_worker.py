"""What the courier does with what is due, whatever its entries, its clerk and Twilio do."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from sms_router.delivery import outbox_worker as courier
from sms_router.delivery.entry import MessagePart, OutboxEntry
from sms_router.delivery.message import (
    Cancelled,
    NotProcessed,
    OutboundSms,
    Rejected,
    Result,
    SendLease,
    Sent,
)
from sms_router.delivery.outbox_worker import MOST_AT_ONCE, MOST_CALLS, OutboxWorker
from sms_router.store.keys import bucket_of
from tests.delivery.desk import PERSON, Desk, a_letter
from tests.waiting import until


async def _nothing(_: object) -> None:
    """Do no work."""


@dataclass(slots=True)
class Clerk:
    """Decides as little as possible, and writes down what it is asked."""

    worked: list[OutboxEntry] = field(default_factory=list)
    heard: list[Result] = field(default_factory=list)
    working: Callable[[OutboxEntry], Awaitable[None]] = _nothing
    broken: tuple[str, ...] = ()
    repeats: bool = False

    async def resume(self, entry: OutboxEntry) -> None:
        self.worked.append(entry)
        await self.working(entry)

    async def build_message(
        self, entry: OutboxEntry, piece: MessagePart, marked: SendLease
    ) -> OutboundSms | Cancelled:
        assert marked.request
        if "letter" in self.broken:
            raise ValueError("cannot be written")
        return a_letter(entry, piece)

    async def on_result(
        self, entry: OutboxEntry, piece: MessagePart, letter: OutboundSms, result: Result
    ) -> bool:
        assert (entry.piece, letter.text) == (piece, f"text {piece.number}")
        self.heard.append(result)
        if "sent" in self.broken:
            raise ValueError("cannot be told")
        return self.repeats and not piece.resend


@dataclass(slots=True)
class Twilio:
    """Takes messages, as slowly as it is told, and says what it is told to say."""

    calls: list[str] = field(default_factory=list)
    says: list[Result] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: int = 0
    most: int = 0

    async def send(self, letter: OutboundSms) -> Result:
        self.calls.append(letter.text)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.open.wait()
        finally:
            self.at_once -= 1
        return self.says.pop(0) if self.says else Sent(f"SM{len(self.calls):032x}")


@pytest.fixture
def twilio() -> Twilio:
    one = Twilio()
    one.open.set()
    return one


@pytest.fixture
def clerk() -> Clerk:
    return Clerk()


@pytest.fixture
def reports() -> Counter[tuple[str, str]]:
    return Counter()


@contextlib.asynccontextmanager
async def carrying(
    at: Desk, twilio: Twilio, clerk: Clerk, reports: Counter[tuple[str, str]] | None = None
) -> AsyncIterator[OutboxWorker]:
    told = Counter[tuple[str, str]]() if reports is None else reports
    one = OutboxWorker(at.outbox, twilio.send, lambda *words: told.update([words]))
    one.start(clerk)
    try:
        yield one
    finally:
        twilio.open.set()
        await one.aclose()


async def test_what_is_due_leaves_once_and_is_told(
    at: Desk, twilio: Twilio, clerk: Clerk, reports: Counter[tuple[str, str]]
) -> None:
    entries = [await at.piece(number) for number in range(1, 21)]
    async with carrying(at, twilio, clerk, reports), carrying(at, twilio, clerk, reports):
        await until(lambda: not at.waiting())
    assert [at.state(entry)["state"] for entry in entries] == ["sent"] * 20
    assert (len(twilio.calls), reports) == (20, {("late", "sent"): 20})


async def test_a_nudge_does_not_wait_for_the_next_sweep(
    at: Desk, twilio: Twilio, clerk: Clerk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "POLL_INTERVAL", 100_000.0)
    async with carrying(at, twilio, clerk) as one:
        one.wake((await at.piece(1)).person)
        await until(lambda: len(twilio.calls) == 1)
        one.wake((await at.piece(2)).person)
        await until(lambda: len(twilio.calls) == 2)


async def test_a_stop_is_heard_although_something_was_put_into_the_outbox_just_before(
    at: Desk, twilio: Twilio, clerk: Clerk
) -> None:
    async with carrying(at, twilio, clerk) as one:
        for _ in range(100):
            await asyncio.sleep(0.005)  # until it rests, waiting to be woken
        one.wake(PERSON)
        async with asyncio.timeout(10):
            assert await one.aclose()


@pytest.mark.slow
async def test_the_messages_of_one_answer_leave_in_their_order(
    at: Desk, twilio: Twilio, clerk: Clerk
) -> None:
    await at.piece(texts=10)
    async with carrying(at, twilio, clerk), carrying(at, twilio, clerk):
        await until(lambda: len(twilio.calls) == 10)
    assert twilio.calls == [f"text {number}" for number in range(10)]


async def test_whoever_waits_in_line_is_not_said_to_be_lost(
    at: Desk, twilio: Twilio, clerk: Clerk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twilio is slow: what was taken falls due again before its turn comes, and others take it too."""
    monkeypatch.setattr(courier, "POLL_INTERVAL", 0.2)
    twilio.open.clear()
    for number in range(1, 3 * MOST_CALLS + 1):
        await at.piece(number)
    async with carrying(at, twilio, clerk), carrying(at, twilio, clerk):
        for _ in range(4):
            at.fall_due(marked=False)
            await until(lambda: all(due > 1 for due in at.waiting().values()))  # somebody has taken it
        await until(lambda: twilio.at_once == 2 * MOST_CALLS)
        twilio.open.set()
        while at.waiting():
            at.fall_due(marked=False)
            await asyncio.sleep(0.01)
    assert len(twilio.calls) == 3 * MOST_CALLS
    assert at.causes() == []


@pytest.mark.slow
async def test_no_more_is_in_hand_than_was_promised(at: Desk, twilio: Twilio, clerk: Clerk) -> None:
    twilio.open.clear()
    for number in range(1, 6 * MOST_AT_ONCE + 1):
        await at.piece(number, person=f"+1415555{number:04d}")
    in_hand = []
    async with carrying(at, twilio, clerk) as one:

        def carried(calls: int) -> bool:
            in_hand.append(len(one._carrying))
            return len(twilio.calls) >= calls

        await until(lambda: carried(MOST_CALLS) and in_hand[-1] >= MOST_AT_ONCE)
        twilio.open.set()
        await until(lambda: carried(6 * MOST_AT_ONCE))
    assert twilio.most == MOST_CALLS
    assert max(in_hand) <= 2 * MOST_AT_ONCE


async def test_a_line_that_cannot_be_read_holds_up_no_other(at: Desk, twilio: Twilio, clerk: Clerk) -> None:
    at.valkey.zadd(bucket_of(PERSON).outbox, {b"of tomorrow": 0, b"\xff \xff": 0, b"a late.x c d": 0})
    at.valkey.pexpire(bucket_of(PERSON).outbox, 60_000)
    await at.piece()
    async with carrying(at, twilio, clerk):
        await until(lambda: twilio.calls)


async def test_a_bucket_that_is_not_one_holds_up_no_other(at: Desk, twilio: Twilio, clerk: Clerk) -> None:
    other = "+14155550199"
    assert bucket_of(other) is not bucket_of(PERSON)
    at.valkey.set(bucket_of(other).outbox, "somebody else's", px=60_000)
    await at.piece()
    async with carrying(at, twilio, clerk):
        await until(lambda: twilio.calls)


async def test_what_is_known_of_a_message_is_kept_though_telling_fails(
    at: Desk, twilio: Twilio, clerk: Clerk
) -> None:
    clerk.broken = ("sent",)
    entry = await at.piece()
    async with carrying(at, twilio, clerk):
        await until(lambda: not at.waiting())
    assert at.state(entry)["state"] == "sent"


async def test_what_cannot_be_written_is_a_dead_letter_that_has_not_left(
    at: Desk, twilio: Twilio, clerk: Clerk
) -> None:
    clerk.broken = ("letter",)
    entry = await at.piece()
    async with carrying(at, twilio, clerk):
        await until(lambda: not at.waiting())
    assert at.state(entry)["state"] == "withdrawn"
    assert at.causes() == ["late.0: it could not be written: ValueError"]
    assert twilio.calls == []


async def test_what_twilio_has_not_seen_is_tried_again_and_what_follows_waits(
    at: Desk, twilio: Twilio, clerk: Clerk, reports: Counter[tuple[str, str]]
) -> None:
    twilio.says = [NotProcessed("429"), NotProcessed("429")]
    entry = await at.piece(texts=3)
    async with carrying(at, twilio, clerk, reports) as one:
        for tries in (1, 2):
            await until(lambda: at.state(entry).get("tries") == tries and not one._carrying)  # noqa: B023
            assert len(at.waiting()) == 3
            at.fall_due()
        await until(lambda: not at.waiting())
    assert twilio.calls == ["text 0", "text 0", "text 0", "text 1", "text 2"]
    assert reports == {("late", "postponed"): 2, ("late", "sent"): 3}


async def test_what_is_refused_may_leave_once_more(at: Desk, twilio: Twilio, clerk: Clerk) -> None:
    twilio.says = [Rejected(21612, "no way"), Rejected(21612, "no way either")]
    clerk.repeats = True
    entry = await at.piece()
    async with carrying(at, twilio, clerk):
        await until(lambda: not at.waiting())
    again = at.state(entry._replace(name="late.0.again"))
    assert (at.state(entry)["state"], again["state"], again["failed_sender"]) == (
        "refused",
        "refused",
        "12345",
    )
    assert at.causes() == ["late.0.again: no way either"]


# --- the end ---


async def test_a_stop_waits_for_calls_and_begins_none(at: Desk, twilio: Twilio, clerk: Clerk) -> None:
    twilio.open.clear()
    entries = [await at.piece(number) for number in range(1, 3 * MOST_CALLS + 1)]
    async with carrying(at, twilio, clerk) as one:
        await until(lambda: len(twilio.calls) == MOST_CALLS)
        stopping = asyncio.create_task(one.aclose())
        await asyncio.sleep(0)  # it has been told
        twilio.open.set()
        assert await stopping
    states = Counter(at.state(entry)["state"] for entry in entries)
    assert states == {"sent": MOST_CALLS, "waiting": 2 * MOST_CALLS}


async def test_a_worker_that_stops_begins_no_work(at: Desk, twilio: Twilio, clerk: Clerk) -> None:
    work = at.message(1)
    async with carrying(at, twilio, clerk) as one:
        one.finish()
        at.valkey.zadd(bucket_of(PERSON).outbox, {work.line: 0})
        at.valkey.pexpire(bucket_of(PERSON).outbox, 60_000)
        entry = await at.piece(2)
        one.wake(entry.person)
        await until(lambda: twilio.calls)
    assert clerk.worked == []


async def test_a_stop_does_not_wait_for_ever_for_work_that_refuses_to_end(
    at: Desk, twilio: Twilio, clerk: Clerk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "DRAIN", 0.1)
    over = asyncio.Event()

    async def stubborn(_: OutboxEntry) -> None:
        while not over.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await over.wait()

    clerk.working = stubborn
    at.valkey.zadd(bucket_of(PERSON).outbox, {at.message(1).line: 0})
    at.valkey.pexpire(bucket_of(PERSON).outbox, 60_000)
    async with carrying(at, twilio, clerk) as one:
        await until(lambda: clerk.worked)
        async with asyncio.timeout(10):
            assert not await one.aclose()
        over.set()
        assert await one.aclose()


async def test_work_that_takes_long_holds_up_no_message(at: Desk, twilio: Twilio, clerk: Clerk) -> None:
    over = asyncio.Event()

    async def long(_: OutboxEntry) -> None:
        await over.wait()

    clerk.working = long
    for number in range(1, 2 * MOST_AT_ONCE + 1):
        at.valkey.zadd(bucket_of(PERSON).outbox, {at.message(number).line: 0})
    at.valkey.pexpire(bucket_of(PERSON).outbox, 60_000)
    async with carrying(at, twilio, clerk) as one:
        await until(lambda: len(clerk.worked) == MOST_AT_ONCE)
        entry = await at.piece(5000)
        one.wake(entry.person)
        await until(lambda: twilio.calls)
        assert len(clerk.worked) == MOST_AT_ONCE
        over.set()
