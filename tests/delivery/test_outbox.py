"""What each step of the outbox does in each state of a message, on a real server."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.delivery.entry import MessagePart, OutboxEntry, ReplyKind
from sms_router.delivery.message import Cancelled, Rejected, SendLease, Sent, Unknown
from sms_router.delivery.outbox import LEASE, MOST_ATTEMPTS, SENDING_TIMEOUT, Outbox
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.keys import bucket_of
from sms_router.store.server_clock import ServerClock
from sms_router.twilio.twiml import OutboundMessage, render
from tests.delivery.desk import LATEST, PERSON, SCOPE, Desk, desk
from tests.store.private_valkey import PrivateValkey

SENT = Sent("SM" + "e" * 32)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


@given(NAMES, NAMES)
def test_an_entry_is_read_as_it_was_written(scope: str, person: str) -> None:
    entry = OutboxEntry("AC/SM", "late.0", scope, person)
    assert OutboxEntry.read(entry.line) == entry


@pytest.mark.parametrize("kind", ReplyKind)
@pytest.mark.parametrize("again", [False, True])
def test_a_piece_is_read_as_it_was_named(kind: ReplyKind, again: bool) -> None:
    piece = MessagePart(kind, 7, again)
    assert MessagePart.parse(piece.name) == piece


@pytest.mark.parametrize("name", ["", "late", "late.", "early.0", "0.again.again", "1000", "-1", "0 "])
def test_other_names_are_no_pieces(name: str) -> None:
    assert MessagePart.parse(name) is None


# --- put ---


async def test_messages_are_put_in_once_and_end_the_work(at: Desk) -> None:
    first = await at.piece(texts=2)
    assert list(at.waiting()) == [first, first._replace(name="late.1")]
    work = first._replace(name="late")
    assert not await at.outbox.enqueue(work, ReplyKind.LATE, b"another", "", 1, "", "a cause")
    assert (list(at.waiting()), at.causes()) == ([first, first._replace(name="late.1")], [])


async def test_a_person_may_be_a_name_with_blanks(at: Desk) -> None:
    person, scope = "Müller & Söhne ", "whatsapp:+14155550100"
    first = await at.piece(person=person, scope=scope)
    assert await at.outbox.lease_due(bucket_of(person), 10) == [first]
    assert (first.person, first.scope) == (person, scope)
    assert isinstance(await at.mark(first), SendLease)


# --- take ---


async def test_what_is_taken_is_nobody_elses_for_a_while(at: Desk) -> None:
    first = await at.piece(texts=2)
    assert await at.outbox.lease_due(bucket_of(PERSON), 1) == [first]
    assert await at.outbox.lease_due(bucket_of(PERSON), 5) == [first._replace(name="late.1")]
    assert await at.outbox.lease_due(bucket_of(PERSON), 5) == []
    assert all(LEASE - 5 < due <= LEASE for due in at.waiting().values())


# --- mark ---


async def waiting(at: Desk) -> OutboxEntry:
    return await at.piece()


async def leaving(at: Desk) -> OutboxEntry:
    entry = await at.piece()
    await at.mark(entry)
    return entry


async def lost_while_leaving(at: Desk) -> OutboxEntry:
    entry = await leaving(at)
    at.fall_due()
    await at.outbox.lease_due(bucket_of(PERSON), 1)
    return entry


async def gone(at: Desk) -> OutboxEntry:
    entry = await at.piece()
    marked = await at.mark(entry)
    assert isinstance(marked, SendLease)
    await at.settle(entry, marked, SENT)
    return entry


async def postpone(at: Desk, entry: OutboxEntry, marked: SendLease, seconds: float = 0) -> None:
    piece = entry.piece
    assert piece is not None
    await at.outbox.postpone(entry, piece, seconds, marked)


async def postponed(at: Desk) -> OutboxEntry:
    entry = await at.piece()
    marked = await at.mark(entry)
    assert isinstance(marked, SendLease)
    await postpone(at, entry, marked, 5.0)
    return entry


async def too_late(at: Desk) -> OutboxEntry:
    return await at.piece(received=at.now() - int(LATEST * 1000) - 1)


async def opted_out(at: Desk) -> OutboxEntry:
    entry = await at.piece()
    key = bucket_of(PERSON).contact(SCOPE, PERSON)
    at.valkey.hset(key, ":opt-out", "1 1 STOP")
    at.valkey.pexpire(key, 60_000)
    return entry


async def unheard_of(at: Desk) -> OutboxEntry:
    entry = await at.piece()
    at.valkey.delete(at.record(entry))
    return entry


def repeated(at: Desk, answer: bytes | None = b"<Response/>") -> OutboxEntry:
    """Let the first message of an answer wait to be sent once more."""
    entry = at.message(answer=answer)._replace(name="0.again")
    state = {"state": "waiting", "at": at.now(), "resend_of": "SM9"}
    at.valkey.hset(at.record(entry), "send:0.again", json.dumps(state))
    at.valkey.zadd(bucket_of(PERSON).outbox, {entry.line: 0})
    at.valkey.pexpire(bucket_of(PERSON).outbox, 60_000)
    return entry


def receipt(at: Desk, **known: str) -> None:
    key = bucket_of(PERSON).receipt(f"{at.message().reference.partition('/')[0]}/SM9")
    at.valkey.hset(key, mapping=known)  # type: ignore[arg-type]
    at.valkey.pexpire(key, 60_000)


async def to_be_repeated(at: Desk) -> OutboxEntry:
    receipt(at, status="undelivered")
    return repeated(at)


async def repeats_what_arrived(at: Desk) -> OutboxEntry:
    receipt(at, status="undelivered", delivered="1")
    return repeated(at)


async def repeats_what_was_read(at: Desk) -> OutboxEntry:
    receipt(at, status="read")
    return repeated(at)


async def repeats_what_is_not_committed_yet(at: Desk) -> OutboxEntry:
    return repeated(at, answer=None)


GO = (SendLease, "sending", None, SENDING_TIMEOUT)
MARKS = [
    (waiting, *GO),
    (postponed, *GO),
    (to_be_repeated, *GO),
    (leaving, None, "sending", None, SENDING_TIMEOUT),
    (lost_while_leaving, Cancelled, "unknown", "the worker that was sending it is gone", None),
    (gone, None, "sent", None, None),
    (too_late, Cancelled, "withdrawn", "too late", None),
    (opted_out, Cancelled, "withdrawn", None, None),
    (repeats_what_arrived, Cancelled, "withdrawn", None, None),
    (repeats_what_was_read, Cancelled, "withdrawn", None, None),
    (repeats_what_is_not_committed_yet, None, "waiting", None, 1),
    (unheard_of, None, None, None, None),
]


@pytest.mark.parametrize(("prepare", "result", "state", "cause", "due"), MARKS)
async def test_the_last_look_before_a_message_leaves(
    at: Desk, prepare: Any, result: Any, state: str | None, cause: str | None, due: float | None
) -> None:
    entry = await prepare(at)
    marked = await at.mark(entry)
    assert marked is None if result is None else isinstance(marked, result)
    assert at.state(entry).get("state") == state
    assert [told.partition(": ")[2].partition(cause or "?")[0] for told in at.causes()] == (
        [""] if cause else []
    )
    if due is None:
        assert at.waiting() == {}
    else:
        assert due - 5 < at.waiting()[entry] <= due


async def test_of_many_workers_one_may_send(at: Desk) -> None:
    entry = await at.piece()
    found = await asyncio.gather(*(at.mark(entry) for _ in range(50)))
    assert [type(each) for each in found if each is not None] == [SendLease]
    assert at.causes() == []


async def test_a_message_does_not_overtake_the_one_before_it(at: Desk) -> None:
    first = await at.piece(texts=2)
    second = first._replace(name="late.1")
    assert await at.mark(second) is None
    marked = await at.mark(first)
    assert isinstance(marked, SendLease)
    assert await at.mark(second) is None
    await at.settle(first, marked, Unknown("a timeout"))
    assert isinstance(await at.mark(second), SendLease)


async def test_a_mark_whose_answer_was_lost_is_taken_back(
    private_valkey: PrivateValkey, tmp_path: Any
) -> None:
    with private_valkey.client() as client:
        async with desk(private_valkey.url, tmp_path, client) as at:
            entry = await at.piece()
            private_valkey.freeze()
            with pytest.raises(StoreUnavailableError):
                await at.mark(entry)
            private_valkey.thaw()
            async with asyncio.timeout(20):
                while at.journal.has_backlog or at.state(entry)["state"] != "waiting":
                    await asyncio.sleep(0.02)


# --- postpone ---


async def test_a_postponement_that_is_run_again_does_not_undo_what_came_after(at: Desk) -> None:
    """The spool may run a step twice: after the second time nothing may leave once more."""
    entry = await at.piece()
    first = await at.mark(entry)
    assert isinstance(first, SendLease)
    await postpone(at, entry, first)
    second = await at.mark(entry)
    assert isinstance(second, SendLease)
    assert second.state["tries"] == 1
    await postpone(at, entry, first)
    assert at.state(entry)["state"] == "sending"
    await at.settle(entry, second, SENT)
    await postpone(at, entry, first)
    assert (at.state(entry)["state"], at.waiting()) == ("sent", {})


# --- settle ---


@pytest.mark.parametrize(
    ("result", "state", "cause"),
    [
        (SENT, "sent", []),
        (Rejected(21610, "no"), "refused", ["late.0: no"]),
        (Unknown("a timeout"), "unknown", ["late.0: a timeout; it may have left, and is not sent again"]),
        (Cancelled("no number", dead_letter=True), "withdrawn", ["late.0: no number"]),
        (Cancelled("opted out", dead_letter=False), "withdrawn", []),
    ],
)
async def test_how_a_message_left_is_written_down_once(
    at: Desk, result: Any, state: str, cause: list[str]
) -> None:
    entry = await at.piece()
    marked = await at.mark(entry)
    assert isinstance(marked, SendLease)
    piece = entry.piece
    assert piece is not None
    for _ in range(2):
        await at.outbox.record_result(entry, piece, None, result, before=marked, now=7)
    assert (at.state(entry)["state"], at.causes(), at.waiting()) == (state, cause, {})


async def test_what_is_sent_in_its_place_is_put_in_once(at: Desk) -> None:
    entry = await at.piece()
    again = entry._replace(name="late.0.again")
    marked = await at.mark(entry)
    assert isinstance(marked, SendLease)
    await at.settle(entry, marked, Rejected(21612, "no way"), again)
    assert (list(at.waiting()), at.causes()) == ([again], [])
    repeated = await at.mark(again)
    assert isinstance(repeated, SendLease)
    assert repeated.state["failed_sender"] == "12345"
    await at.settle(again, repeated, SENT)
    await at.settle(entry, marked, Rejected(21612, "no way"), again)
    assert (at.waiting(), at.state(again)["state"]) == ({}, "sent")


# --- claim and hand over ---


async def claim(at: Desk, entry: OutboxEntry, owner: bytes = b"a", lease: int = 3000) -> Any:
    return await at.outbox.claim(entry, ReplyKind.LATE, owner, lease)


async def unfinished(at: Desk) -> OutboxEntry:
    entry = at.message()
    at.valkey.zadd(bucket_of(PERSON).outbox, {entry.line: 0})
    at.valkey.pexpire(bucket_of(PERSON).outbox, 60_000)
    return entry


async def test_work_is_claimed_by_one_at_a_time(at: Desk) -> None:
    entry = await unfinished(at)
    claims = await asyncio.gather(*(claim(at, entry) for _ in range(20)))
    assert [found.attempt for found in claims if found] == [1]
    assert 0 < at.waiting()[entry] <= 3


async def test_work_is_not_begun_for_ever(at: Desk) -> None:
    entry = await unfinished(at)
    attempts = [await claim(at, entry, lease=0) for _ in range(MOST_ATTEMPTS + 1)]
    assert [found and found.attempt for found in attempts] == [1, 2, 3, None]
    assert "workers were lost over it" in at.causes()[0]
    assert at.waiting() == {}


async def test_work_that_was_given_back_is_no_failed_attempt(at: Desk) -> None:
    """Any number of restarts in the middle of a long handler loses no worker over it."""
    entry = await unfinished(at)
    for _ in range(2 * MOST_ATTEMPTS):
        assert (await claim(at, entry)).attempt == 1
        await at.outbox.release_work(entry, b"a")
        assert at.waiting()[entry] <= 0


async def test_only_its_owner_gives_work_back(at: Desk) -> None:
    entry = await unfinished(at)
    await claim(at, entry, b"a")
    await at.outbox.release_work(entry, b"b")
    assert await claim(at, entry, b"b") is None


async def test_work_that_nobody_waits_for_any_more_is_given_up(at: Desk) -> None:
    entry = at.message(received=at.now() - int(LATEST * 1000) - 1)
    assert await claim(at, entry) is None
    assert "too late" in at.causes()[0]


async def test_work_whose_answer_is_there_is_over(at: Desk) -> None:
    first = await at.piece()
    work = first._replace(name="late")
    at.valkey.zadd(bucket_of(PERSON).outbox, {work.line: 0})
    assert await claim(at, work) is None
    assert list(at.waiting()) == [first]


# --- clocks that are set ---


@pytest.mark.parametrize("back", [3600, 86_400])
async def test_what_was_due_before_redis_clock_was_set_back_does_not_wait_for_it(at: Desk, back: int) -> None:
    first = await at.piece(texts=2)
    bucket = bucket_of(PERSON)
    soon = first._replace(name="late.1")
    at.valkey.zadd(
        bucket.outbox, {first.line: at.now() + back * 1000, soon.line: at.now() + SENDING_TIMEOUT * 1000}
    )
    assert await at.outbox.lease_due(bucket, 5) == []
    due = at.waiting()
    assert due[first] <= LEASE
    assert due[soon] > LEASE, "something holds it"


@pytest.mark.parametrize("back", [3600, 86_400])
async def test_work_whose_lease_is_from_before_the_clock_was_set_back_is_free_soon(
    at: Desk, back: int
) -> None:
    work = at.message()
    at.valkey.hset(at.record(work), "lease_until", at.now() + back * 1000)
    at.valkey.zadd(bucket_of(PERSON).outbox, {work.line: 0})
    at.valkey.pexpire(bucket_of(PERSON).outbox, 60_000)
    assert await at.outbox.claim(work, ReplyKind.LATE, b"me", 3000) is None
    assert at.waiting()[work] <= 3
    at.valkey.hset(at.record(work), "lease_until", 0)
    assert await at.outbox.claim(work, ReplyKind.LATE, b"me", 3000) is not None


@pytest.mark.parametrize("jump", [3600, 86_400, -3600])
@pytest.mark.parametrize(("waited", "leaves"), [(5.0, True), (LATEST + 5, False)])
async def test_how_long_somebody_waits_is_measured_and_not_told_by_a_clock_that_is_set(
    at: Desk, jump: int, waited: float, leaves: bool
) -> None:
    outbox = Outbox(at.store, at.journal, 1.0, LATEST, ServerClock(at.store))
    work = at.message(received=at.now() - int((jump + waited) * 1000))
    document = render([OutboundMessage("text")])
    assert await outbox.enqueue(
        work, ReplyKind.LATE, document, "", 1, "late", began=time.monotonic() - waited
    )
    found = await at.mark(work._replace(name="late.0"))
    assert isinstance(found, SendLease if leaves else Cancelled)


@pytest.mark.parametrize("result", [SENT, Unknown("a timeout")])
async def test_what_was_in_hand_when_redis_clock_was_set_forward_is_no_dead_letter_for_it(
    at: Desk, result: Any
) -> None:
    entry = await at.piece()
    marked = await at.mark(entry)
    assert isinstance(marked, SendLease)
    at.fall_due()
    assert isinstance(await at.mark(entry), Cancelled), "another worker takes the first one for lost"
    assert "is gone" in at.causes()[0]
    await at.settle(entry, marked, result)
    assert at.state(entry)["state"] == ("sent" if result is SENT else "unknown")
    assert [cause.partition(";")[0] for cause in at.causes()] == (
        [] if result is SENT else ["late.0: a timeout"]
    )


async def test_work_in_hand_when_redis_clock_was_set_forward_is_no_dead_letter_for_it(at: Desk) -> None:
    entry = await unfinished(at)
    assert await claim(at, entry, b"a")
    at.valkey.hset(
        at.record(entry), mapping={"lease_until": 0, "received": at.now() - int(LATEST * 1000) - 1}
    )
    assert await claim(at, entry, b"b") is None
    assert "too late" in at.causes()[0]
    document = render([OutboundMessage("text")])
    assert await at.outbox.enqueue(entry, ReplyKind.LATE, document, "", 1, "late", "")
    assert at.causes() == []
