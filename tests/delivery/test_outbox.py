"""The steps of the outbox in each state of a message, on a real server."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.delivery.entry import MessagePart, OutboxEntry, ReplyKind
from sms_router.delivery.message import Accepted, Cancelled, Rejected, SendLease, Unknown
from sms_router.delivery.outbox import Outbox
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.keys import bucket_of
from sms_router.store.server_clock import ServerClock
from sms_router.twilio.twiml import OutboundMessage, render
from tests.delivery.outbox_fixture import CONTACT, MAX_AGE, SCOPE, OutboxFixture, run_outbox
from tests.store.private_valkey import PrivateValkey

SENT = Accepted("SM" + "e" * 32)
SENDING_TIMEOUT = 180.0
"""Seconds until a message that is being sent is given up."""
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


@given(NAMES, NAMES)
def test_a_stored_entry_is_read_unchanged(scope: str, contact: str) -> None:
    entry = OutboxEntry("AC/SM", "late.0", scope, contact)
    assert OutboxEntry.read(entry.line) == entry


@pytest.mark.parametrize("kind", ReplyKind)
@pytest.mark.parametrize("again", [False, True])
def test_the_name_of_a_part_is_parsed_unchanged(kind: ReplyKind, again: bool) -> None:
    part = MessagePart(kind, 7, again)
    assert MessagePart.parse(part.name) == part


@pytest.mark.parametrize("name", ["", "late", "late.", "early.0", "0.again.again", "1000", "-1", "0 "])
def test_other_names_are_not_parts(name: str) -> None:
    assert MessagePart.parse(name) is None


# --- enqueue ---


async def test_messages_are_enqueued_once_and_end_the_work(fixture: OutboxFixture) -> None:
    first = await fixture.enqueue_reply(texts=2)
    assert list(fixture.waiting()) == [first, first._replace(name="late.1")]
    work = first._replace(name="late")
    assert not await fixture.outbox.enqueue(work, ReplyKind.LATE, b"another", "", 1, "", "a cause")
    assert (list(fixture.waiting()), fixture.dead_letter_causes()) == (
        [first, first._replace(name="late.1")],
        [],
    )


async def test_a_contact_may_be_a_name_with_spaces(fixture: OutboxFixture) -> None:
    contact, scope = "Müller & Söhne ", "whatsapp:+14155550100"
    first = await fixture.enqueue_reply(contact=contact, scope=scope)
    assert await fixture.outbox.lease_due(bucket_of(contact), 10) == [first]
    assert (first.contact, first.scope) == (contact, scope)
    assert isinstance(await fixture.mark_sending(first), SendLease)


# --- lease ---


async def test_a_leased_entry_is_leased_by_no_other_worker_for_fifteen_seconds(
    fixture: OutboxFixture,
) -> None:
    first = await fixture.enqueue_reply(texts=2)
    assert await fixture.outbox.lease_due(bucket_of(CONTACT), 1) == [first]
    assert await fixture.outbox.lease_due(bucket_of(CONTACT), 5) == [first._replace(name="late.1")]
    assert await fixture.outbox.lease_due(bucket_of(CONTACT), 5) == []
    assert all(10 < due <= 15 for due in fixture.waiting().values())


# --- mark as being sent ---


async def waiting(fixture: OutboxFixture) -> OutboxEntry:
    return await fixture.enqueue_reply()


async def being_sent(fixture: OutboxFixture) -> OutboxEntry:
    entry = await fixture.enqueue_reply()
    await fixture.mark_sending(entry)
    return entry


async def lost_while_sending(fixture: OutboxFixture) -> OutboxEntry:
    entry = await being_sent(fixture)
    fixture.make_due()
    await fixture.outbox.lease_due(bucket_of(CONTACT), 1)
    return entry


async def already_sent(fixture: OutboxFixture) -> OutboxEntry:
    entry = await fixture.enqueue_reply()
    marked = await fixture.mark_sending(entry)
    assert isinstance(marked, SendLease)
    await fixture.record_result(entry, marked, SENT)
    return entry


async def postpone(fixture: OutboxFixture, entry: OutboxEntry, marked: SendLease, seconds: float = 0) -> None:
    part = entry.part
    assert part is not None
    await fixture.outbox.postpone(entry, part, seconds, marked.mark)


async def postponed(fixture: OutboxFixture) -> OutboxEntry:
    entry = await fixture.enqueue_reply()
    marked = await fixture.mark_sending(entry)
    assert isinstance(marked, SendLease)
    await postpone(fixture, entry, marked, 5.0)
    return entry


async def too_late(fixture: OutboxFixture) -> OutboxEntry:
    return await fixture.enqueue_reply(received=fixture.now() - int(MAX_AGE * 1000) - 1)


async def opted_out(fixture: OutboxFixture) -> OutboxEntry:
    entry = await fixture.enqueue_reply()
    key = bucket_of(CONTACT).contact(SCOPE, CONTACT)
    fixture.valkey.hset(key, ":opt-out", "1 1 STOP")
    fixture.valkey.pexpire(key, 60_000)
    return entry


async def without_record(fixture: OutboxFixture) -> OutboxEntry:
    entry = await fixture.enqueue_reply()
    fixture.valkey.delete(fixture.record(entry))
    return entry


def resend(fixture: OutboxFixture, answer: bytes | None = b"<Response/>") -> OutboxEntry:
    """Enqueue a re-send of the first message of an answer."""
    entry = fixture.add_message(answer=answer)._replace(name="0.again")
    state = {"state": "waiting", "at": fixture.now(), "resend_of": "SM9"}
    fixture.valkey.hset(fixture.record(entry), "send:0.again", json.dumps(state))
    fixture.valkey.zadd(bucket_of(CONTACT).outbox, {entry.line: 0})
    fixture.valkey.pexpire(bucket_of(CONTACT).outbox, 60_000)
    return entry


def receipt(fixture: OutboxFixture, **known: str) -> None:
    key = bucket_of(CONTACT).receipt(f"{fixture.add_message().reference.partition('/')[0]}/SM9")
    fixture.valkey.hset(key, mapping=known)  # type: ignore[arg-type]
    fixture.valkey.pexpire(key, 60_000)


async def resend_of_an_undelivered_message(fixture: OutboxFixture) -> OutboxEntry:
    receipt(fixture, status="undelivered")
    return resend(fixture)


async def resend_of_a_delivered_message(fixture: OutboxFixture) -> OutboxEntry:
    receipt(fixture, status="undelivered", delivered="1")
    return resend(fixture)


async def resend_of_a_read_message(fixture: OutboxFixture) -> OutboxEntry:
    receipt(fixture, status="read")
    return resend(fixture)


async def resend_before_the_answer_is_committed(fixture: OutboxFixture) -> OutboxEntry:
    return resend(fixture, answer=None)


GO = (SendLease, "sending", None, SENDING_TIMEOUT)
MARKS = [
    (waiting, *GO),
    (postponed, *GO),
    (resend_of_an_undelivered_message, *GO),
    (being_sent, None, "sending", None, SENDING_TIMEOUT),
    (lost_while_sending, Cancelled, "unknown", "the worker that was sending it is gone", None),
    (already_sent, None, "sent", None, None),
    (too_late, Cancelled, "withdrawn", "too late", None),
    (opted_out, Cancelled, "withdrawn", None, None),
    (resend_of_a_delivered_message, Cancelled, "withdrawn", None, None),
    (resend_of_a_read_message, Cancelled, "withdrawn", None, None),
    (resend_before_the_answer_is_committed, None, "waiting", None, 1),
    (without_record, None, None, "not sent, because its message is no longer stored", None),
]


@pytest.mark.parametrize(("prepare", "result", "state", "cause", "due"), MARKS)
async def test_the_check_before_a_message_is_sent(
    fixture: OutboxFixture, prepare: Any, result: Any, state: str | None, cause: str | None, due: float | None
) -> None:
    entry = await prepare(fixture)
    marked = await fixture.mark_sending(entry)
    assert marked is None if result is None else isinstance(marked, result)
    assert fixture.state(entry).get("state") == state
    assert [line.partition(": ")[2].partition(cause or "?")[0] for line in fixture.dead_letter_causes()] == (
        [""] if cause else []
    )
    if due is None:
        assert fixture.waiting() == {}
    else:
        assert due - 5 < fixture.waiting()[entry] <= due


async def test_one_of_many_workers_may_send(fixture: OutboxFixture) -> None:
    entry = await fixture.enqueue_reply()
    leases = await asyncio.gather(*(fixture.mark_sending(entry) for _ in range(50)))
    assert [type(lease) for lease in leases if lease is not None] == [SendLease]
    assert fixture.dead_letter_causes() == []


async def test_a_message_does_not_overtake_the_one_before_it(fixture: OutboxFixture) -> None:
    first = await fixture.enqueue_reply(texts=2)
    second = first._replace(name="late.1")
    assert await fixture.mark_sending(second) is None
    marked = await fixture.mark_sending(first)
    assert isinstance(marked, SendLease)
    assert await fixture.mark_sending(second) is None
    await fixture.record_result(first, marked, Unknown("a timeout"))
    assert isinstance(await fixture.mark_sending(second), SendLease)


async def test_a_mark_whose_reply_from_redis_was_lost_is_removed(
    private_valkey: PrivateValkey, tmp_path: Any
) -> None:
    with private_valkey.client() as client:
        async with run_outbox(private_valkey.url, tmp_path, client) as fixture:
            entry = await fixture.enqueue_reply()
            private_valkey.freeze()
            with pytest.raises(StoreUnavailableError):
                await fixture.mark_sending(entry)
            private_valkey.thaw()
            async with asyncio.timeout(20):
                while fixture.journal.has_backlog or fixture.state(entry)["state"] != "waiting":
                    await asyncio.sleep(0.02)


# --- postpone ---


async def test_a_repeated_postponement_does_not_undo_a_later_mark(fixture: OutboxFixture) -> None:
    """The spool may run a step twice: after the second time nothing may leave once more."""
    entry = await fixture.enqueue_reply()
    first = await fixture.mark_sending(entry)
    assert isinstance(first, SendLease)
    await postpone(fixture, entry, first)
    second = await fixture.mark_sending(entry)
    assert isinstance(second, SendLease)
    assert second.state["tries"] == 1
    await postpone(fixture, entry, first)
    assert fixture.state(entry)["state"] == "sending"
    await fixture.record_result(entry, second, SENT)
    await postpone(fixture, entry, first)
    assert (fixture.state(entry)["state"], fixture.waiting()) == ("sent", {})


# --- record the result ---


@pytest.mark.parametrize(
    ("result", "state", "cause"),
    [
        (SENT, "sent", []),
        (Rejected(21610, "no"), "refused", ["late.0: no"]),
        (
            Unknown("a timeout"),
            "unknown",
            ["late.0: a timeout; it may have been sent, and is not sent again"],
        ),
        (Cancelled("no number", dead_letter=True), "withdrawn", ["late.0: no number"]),
        (Cancelled("opted out", dead_letter=False), "withdrawn", []),
    ],
)
async def test_the_result_of_a_message_is_recorded_once(
    fixture: OutboxFixture, result: Any, state: str, cause: list[str]
) -> None:
    entry = await fixture.enqueue_reply()
    marked = await fixture.mark_sending(entry)
    assert isinstance(marked, SendLease)
    part = entry.part
    assert part is not None
    for _ in range(2):
        await fixture.outbox.record_result(entry, part, None, result, lease=marked, now=7)
    assert (fixture.state(entry)["state"], fixture.dead_letter_causes(), fixture.waiting()) == (
        state,
        cause,
        {},
    )


async def test_a_resend_is_enqueued_once(fixture: OutboxFixture) -> None:
    entry = await fixture.enqueue_reply()
    again = entry._replace(name="late.0.again")
    marked = await fixture.mark_sending(entry)
    assert isinstance(marked, SendLease)
    await fixture.record_result(entry, marked, Rejected(21612, "no way"), again)
    assert (list(fixture.waiting()), fixture.dead_letter_causes()) == ([again], [])
    repeated = await fixture.mark_sending(again)
    assert isinstance(repeated, SendLease)
    assert repeated.state["failed_sender"] == "12345"
    await fixture.record_result(again, repeated, SENT)
    await fixture.record_result(entry, marked, Rejected(21612, "no way"), again)
    assert (fixture.waiting(), fixture.state(again)["state"]) == ({}, "sent")


# --- claim and release ---


async def claim(fixture: OutboxFixture, entry: OutboxEntry, owner: bytes = b"a", lease: int = 3000) -> Any:
    return await fixture.outbox.claim(entry, ReplyKind.LATE, owner, lease)


async def unfinished(fixture: OutboxFixture) -> OutboxEntry:
    entry = fixture.add_message()
    fixture.valkey.zadd(bucket_of(CONTACT).outbox, {entry.line: 0})
    fixture.valkey.pexpire(bucket_of(CONTACT).outbox, 60_000)
    return entry


async def test_work_is_claimed_by_one_worker_at_a_time(fixture: OutboxFixture) -> None:
    entry = await unfinished(fixture)
    claims = await asyncio.gather(*(claim(fixture, entry) for _ in range(20)))
    assert [work.attempt for work in claims if work] == [1]
    assert 0 < fixture.waiting()[entry] <= 3


async def test_work_is_attempted_three_times(fixture: OutboxFixture) -> None:
    entry = await unfinished(fixture)
    attempts = [await claim(fixture, entry, lease=0) for _ in range(4)]
    assert [work and work.attempt for work in attempts] == [1, 2, 3, None]
    assert "started 3 times and never finished" in fixture.dead_letter_causes()[0]
    assert fixture.waiting() == {}


async def test_released_work_is_no_failed_attempt(fixture: OutboxFixture) -> None:
    """Restarts in the middle of a long handler do not make the work expire."""
    entry = await unfinished(fixture)
    for _ in range(6):
        assert (await claim(fixture, entry)).attempt == 1
        await fixture.outbox.release_work(entry, b"a")
        assert fixture.waiting()[entry] <= 0


async def test_only_the_owner_can_release_work(fixture: OutboxFixture) -> None:
    entry = await unfinished(fixture)
    await claim(fixture, entry, b"a")
    await fixture.outbox.release_work(entry, b"b")
    assert await claim(fixture, entry, b"b") is None


async def test_work_that_is_too_old_becomes_a_dead_letter(fixture: OutboxFixture) -> None:
    entry = fixture.add_message(received=fixture.now() - int(MAX_AGE * 1000) - 1)
    assert await claim(fixture, entry) is None
    assert "too late" in fixture.dead_letter_causes()[0]


async def test_work_whose_reply_is_stored_is_not_claimed(fixture: OutboxFixture) -> None:
    first = await fixture.enqueue_reply()
    work = first._replace(name="late")
    fixture.valkey.zadd(bucket_of(CONTACT).outbox, {work.line: 0})
    assert await claim(fixture, work) is None
    assert list(fixture.waiting()) == [first]


# --- clocks that are set ---


@pytest.mark.parametrize("back", [3600, 86_400])
async def test_an_entry_does_not_wait_for_a_redis_clock_that_was_set_back(
    fixture: OutboxFixture, back: int
) -> None:
    first = await fixture.enqueue_reply(texts=2)
    bucket = bucket_of(CONTACT)
    soon = first._replace(name="late.1")
    fixture.valkey.zadd(
        bucket.outbox,
        {first.line: fixture.now() + back * 1000, soon.line: fixture.now() + SENDING_TIMEOUT * 1000},
    )
    assert await fixture.outbox.lease_due(bucket, 5) == []
    due = fixture.waiting()
    assert due[first] <= 15
    assert due[soon] > 15, "it is being sent"


@pytest.mark.parametrize("back", [3600, 86_400])
async def test_a_lease_from_before_the_clock_was_set_back_expires_soon(
    fixture: OutboxFixture, back: int
) -> None:
    work = fixture.add_message()
    fixture.valkey.hset(fixture.record(work), "lease_until", fixture.now() + back * 1000)
    fixture.valkey.zadd(bucket_of(CONTACT).outbox, {work.line: 0})
    fixture.valkey.pexpire(bucket_of(CONTACT).outbox, 60_000)
    assert await fixture.outbox.claim(work, ReplyKind.LATE, b"me", 3000) is None
    assert fixture.waiting()[work] <= 3
    fixture.valkey.hset(fixture.record(work), "lease_until", 0)
    assert await fixture.outbox.claim(work, ReplyKind.LATE, b"me", 3000) is not None


@pytest.mark.parametrize("jump", [3600, 86_400, -3600])
@pytest.mark.parametrize(("waited", "leaves"), [(5.0, True), (MAX_AGE + 5, False)])
async def test_the_age_of_a_reply_is_measured_independently_of_a_clock_that_is_set(
    fixture: OutboxFixture, jump: int, waited: float, leaves: bool
) -> None:
    outbox = Outbox(fixture.store, fixture.journal, 1.0, MAX_AGE, ServerClock(fixture.store))
    work = fixture.add_message(received=fixture.now() - int((jump + waited) * 1000))
    document = render([OutboundMessage("text")])
    assert await outbox.enqueue(
        work, ReplyKind.LATE, document, "", 1, "late", waiting_since=time.monotonic() - waited
    )
    lease = await fixture.mark_sending(work._replace(name="late.0"))
    assert isinstance(lease, SendLease if leaves else Cancelled)


async def test_a_late_reply_whose_record_is_gone_leaves_and_has_a_record_again(
    fixture: OutboxFixture,
) -> None:
    work = fixture.add_message()
    request = fixture.valkey.hget(fixture.record(work), "request")
    assert isinstance(request, bytes)
    fixture.valkey.delete(fixture.record(work))
    document = render([OutboundMessage("done")])
    for first in (True, False):
        assert first is await fixture.outbox.enqueue(
            work, ReplyKind.LATE, document, "SLOW", 1, "late", request=request
        )
    lease = await fixture.mark_sending(work._replace(name="late.0"))
    assert isinstance(lease, SendLease)
    assert (lease.request, lease.document) == (request, document)
    empty = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
    assert fixture.valkey.hmget(fixture.record(work), "answer", "outcome") == [empty, b"late"]
    assert fixture.valkey.xlen(bucket_of(CONTACT).journal) == 1
    assert fixture.valkey.ttl(fixture.record(work)) > 0


@pytest.mark.parametrize("how", ["its reply", "its work"])
async def test_without_a_record_and_a_request_a_reply_is_a_dead_letter(
    fixture: OutboxFixture, how: str
) -> None:
    work = fixture.add_message()
    fixture.valkey.delete(fixture.record(work))
    fixture.valkey.zadd(bucket_of(CONTACT).outbox, {work.line: 0})
    if how == "its reply":
        document = render([OutboundMessage("done")])
        assert not await fixture.outbox.enqueue(work, ReplyKind.LATE, document, "SLOW", 1, "late")
    else:
        assert await fixture.outbox.claim(work, ReplyKind.LATE, b"me", 3000) is None
    assert fixture.dead_letter_causes() == ["late: not sent, because its message is no longer stored"]
    assert (fixture.waiting(), fixture.valkey.exists(fixture.record(work))) == ({}, 0)


@pytest.mark.parametrize("result", [SENT, Unknown("a timeout")])
async def test_a_message_being_sent_when_the_redis_clock_is_set_forward_is_no_dead_letter(
    fixture: OutboxFixture, result: Any
) -> None:
    entry = await fixture.enqueue_reply()
    marked = await fixture.mark_sending(entry)
    assert isinstance(marked, SendLease)
    fixture.make_due()
    assert isinstance(await fixture.mark_sending(entry), Cancelled), (
        "another worker takes the first one for lost"
    )
    assert "is gone" in fixture.dead_letter_causes()[0]
    await fixture.record_result(entry, marked, result)
    assert fixture.state(entry)["state"] == ("sent" if result is SENT else "unknown")
    assert [cause.partition(";")[0] for cause in fixture.dead_letter_causes()] == (
        [] if result is SENT else ["late.0: a timeout"]
    )


async def test_claimed_work_when_the_redis_clock_is_set_forward_is_no_dead_letter(
    fixture: OutboxFixture,
) -> None:
    entry = await unfinished(fixture)
    assert await claim(fixture, entry, b"a")
    fixture.valkey.hset(
        fixture.record(entry), mapping={"lease_until": 0, "received": fixture.now() - int(MAX_AGE * 1000) - 1}
    )
    assert await claim(fixture, entry, b"b") is None
    assert "too late" in fixture.dead_letter_causes()[0]
    document = render([OutboundMessage("text")])
    assert await fixture.outbox.enqueue(entry, ReplyKind.LATE, document, "", 1, "late", "")
    assert fixture.dead_letter_causes() == []
