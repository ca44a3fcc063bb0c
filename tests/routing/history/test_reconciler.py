"""Missed messages: which ones count as missed, and what follows, in each state of the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import pytest
import redis

from sms_router.routing.handler.reply import Reply
from sms_router.routing.history.reconciler import Comparison, MissedStatus, PoolNumber, Reconciler
from sms_router.routing.inbox.answer import Answer, JournalEntry, MessageKey, Outcome
from sms_router.routing.inbox.inbox import Claimed
from sms_router.routing.opt_outs.keywords import Intent, OptOutMatch
from sms_router.store.keys import bucket_of
from sms_router.twilio.inbound import InboundMessage, parse_stored_request
from sms_router.twilio.message_log import LoggedMessage, MessageLog
from sms_router.twilio.rest import ApiError, ApiFailure, FailureKind
from tests.routing.messages import ACCOUNT, CONTACT
from tests.routing.workers import Worker

SERVICE = "MG" + "1" * 32
BUCKET = bucket_of(CONTACT)
NOW = 1_790_000_000_000
EMPTY = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
ERROR = "error 11205 (no connection)"
MESSAGE = LoggedMessage("SM" + "0a" * 16, ACCOUNT, None, CONTACT, "12345", "HOURS", "1", 0, NOW - 120_000)
REFERENCE = f"{ACCOUNT}/{MESSAGE.sid}"
RECORD = BUCKET.message(REFERENCE)


@dataclass
class FakeLog:
    """Twilio's log of one number."""

    messages: list[LoggedMessage]
    errors: dict[str, str] = field(default_factory=lambda: {MESSAGE.sid: ERROR})
    failing: FailureKind | None = None
    numbers: tuple[str, ...] = ("12345",)

    def inbound(self, number: str, since: int) -> Iterator[list[LoggedMessage]]:
        if self.failing is not None:
            raise ApiError(ApiFailure(self.failing, None, None, "no response"))
        yield [each for each in self.messages if each.received >= since]

    def media(self, message: LoggedMessage) -> list[tuple[str, str]]:
        return []

    def webhook_errors(self, since: int) -> Mapping[str, str]:
        return self.errors


def opt_out_of(message: InboundMessage) -> OptOutMatch | None:
    if message.body not in ("STOP", "START"):
        return None
    return OptOutMatch(Intent(message.body), message.body.lower(), Reply("ok"), unconditional=True)


Run = Callable[..., Comparison]


@pytest.fixture
def run(valkey: redis.Redis) -> Run:
    """Compare a log at `NOW`, and record what has no answer."""

    def run(
        log: FakeLog,
        *,
        answer: bool = False,
        late_limit: float = 3600,
        record: bool = True,
        keep_all: bool = False,
    ) -> Comparison:
        reconciler = Reconciler(
            valkey, lambda _: cast("MessageLog", log), opt_out_of, 86_400_000, 1461, 7, late_limit
        )
        numbers = [PoolNumber(SERVICE, number) for number in log.numbers]
        found = reconciler.compare(numbers, NOW - 86_400_000, NOW, lambda _: None, keep_all=keep_all)
        if record:
            for missed in found.missed:
                reconciler.record(missed, NOW, answer=answer)
        return found

    return run


def statuses(found: Comparison) -> list[MissedStatus]:
    return [missed.status for missed in found.missed]


def causes(valkey: redis.Redis) -> list[bytes]:
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", valkey.xrange(BUCKET.dead_letters))
    return [fields[b"cause"] for _, fields in entries]


def test_a_missed_message_is_a_dead_letter_then_answered_once(run: Run, valkey: redis.Redis) -> None:
    log = FakeLog([MESSAGE])
    assert statuses(run(log, record=False)) == [MissedStatus.FOUND]
    assert valkey.dbsize() == 0
    assert statuses(run(log)) == [MissedStatus.JOURNALED]
    assert causes(valkey) == [b"never arrived: error 11205 (no connection)"]
    assert statuses(run(log)) == [MissedStatus.KNOWN]
    assert valkey.zcard(BUCKET.outbox) == 0
    assert statuses(run(log, answer=True)) == [MissedStatus.ANSWERED]
    assert causes(valkey) == []
    assert valkey.hmget(RECORD, "answer", "outcome", "received") == [EMPTY, b"late", b"1789999880000"]
    assert valkey.zrange(BUCKET.outbox, 0, -1) == [f"{REFERENCE} late {SERVICE} {CONTACT}".encode()]
    message = parse_stored_request(cast("bytes", valkey.hget(RECORD, "request")))
    assert message is not None
    assert (message.sid, message.service_sid, message.body) == (MESSAGE.sid, SERVICE, "HOURS")
    assert statuses(run(log, answer=True)) == []
    assert valkey.xlen(BUCKET.journal) == 1


@pytest.mark.parametrize("answered", [False, True])
async def test_a_webhook_that_comes_later_gets_the_stored_answer_or_is_handled(
    one: Worker, run: Run, valkey: redis.Redis, answered: bool
) -> None:
    run(FakeLog([MESSAGE]), answer=answered)
    key = MessageKey(REFERENCE, CONTACT)
    claim = await one.inbox.claim(key, b"From=%2B1", fallback=False)
    if answered:
        assert claim == Answer(EMPTY, Outcome.LATE)
        return
    assert isinstance(claim, Claimed)
    assert statuses(run(FakeLog([MESSAGE]), answer=True)) == [MissedStatus.ARRIVED]
    reply = Answer(b"<Response>1</Response>", Outcome.REPLY)
    await one.inbox.commit(key, b"From=%2B1", claim, reply, JournalEntry("HOURS"))
    assert causes(valkey) == []
    assert statuses(run(FakeLog([MESSAGE]), answer=True)) == []


async def test_a_message_that_arrives_between_comparison_and_record_is_left_alone(
    one: Worker, run: Run, valkey: redis.Redis
) -> None:
    log = FakeLog([MESSAGE])
    found = run(log, record=False)
    assert isinstance(await one.inbox.claim(MessageKey(REFERENCE, CONTACT), b"", fallback=False), Claimed)
    reconciler = Reconciler(valkey, lambda _: cast("MessageLog", log), opt_out_of, 1, 1461, 7, 3600)
    for missed in found.missed:
        reconciler.record(missed, NOW, answer=True)
    assert statuses(found) == [MissedStatus.ARRIVED]
    assert valkey.hget(RECORD, "answer") is None


def test_one_that_was_replayed_is_not_answered_again(run: Run, valkey: redis.Redis) -> None:
    run(FakeLog([MESSAGE]))
    valkey.hset(RECORD, "replay:requested", NOW)
    assert statuses(run(FakeLog([MESSAGE]), answer=True)) == []


@pytest.mark.parametrize(
    ("log", "late_limit", "missed", "status", "note"),
    [
        (FakeLog([MESSAGE], errors={}), 3600, 0, None, ""),
        (FakeLog([replace(MESSAGE, received=NOW - 59_000)]), 3600, 0, None, ""),
        (FakeLog([replace(MESSAGE, received=NOW + 59_000)]), 3600, 0, None, ""),
        (FakeLog([MESSAGE]), 60, 1, MissedStatus.JOURNALED, "it came 2 min ago, later than late_limit"),
        (FakeLog([replace(MESSAGE, sid="no sid")], {"no sid": ERROR}), 3600, 1, MissedStatus.FOUND,
         "MessageSid is not SM or MM and 32 hexadecimal digits"),
    ],
    ids=["without an error", "too new", "by a clock that is ahead", "too old", "malformed"],
)  # fmt: skip
def test_what_is_not_answered(
    run: Run, log: FakeLog, late_limit: float, missed: int, status: MissedStatus | None, note: str
) -> None:
    found = run(log, answer=True, late_limit=late_limit)
    assert len(found.missed) == missed
    assert [(each.status, each.note) for each in found.missed] == [(status, note)] * missed


@pytest.mark.parametrize("answer", [False, True])
def test_opt_out_keywords_count_and_are_not_replied_to(run: Run, valkey: redis.Redis, answer: bool) -> None:
    contact = BUCKET.contact(SERVICE, CONTACT)
    stop = replace(MESSAGE, body="STOP")
    assert statuses(run(FakeLog([stop]), answer=answer)) == [MissedStatus.ANSWERED]
    stored = cast("bytes", valkey.hget(contact, ":opt-out"))
    assert stored.startswith(b"1789999880000 1789999880000 1789999880000 STOP")
    earlier = replace(MESSAGE, sid="SM" + "0b" * 16, body="START", received=MESSAGE.received - 1000)
    run(FakeLog([earlier], {earlier.sid: ERROR}), answer=answer)
    assert valkey.hexists(contact, ":opt-out"), "the START is older than the STOP"
    later = replace(MESSAGE, sid="SM" + "0c" * 16, body="START", received=MESSAGE.received + 1000)
    run(FakeLog([later], {later.sid: ERROR}), answer=answer)
    assert not valkey.hexists(contact, ":opt-out")
    assert valkey.zcard(BUCKET.outbox) == 0
    assert causes(valkey) == []


def test_messages_without_an_error_are_counted_and_listed_on_request(run: Run) -> None:
    log = FakeLog([MESSAGE], errors={})
    assert (run(log).without_error, run(log).missed) == (1, [])
    assert statuses(run(log, keep_all=True, answer=True)) == [MissedStatus.ANSWERED]


@pytest.mark.parametrize(
    ("kind", "failures"),
    [
        (FailureKind.REFUSED, ["the messages to 12345", "the messages to 67890"]),
        (FailureKind.UNAVAILABLE, ["the messages to 12345 and further numbers"]),
    ],
)
def test_what_cannot_be_read_is_reported(run: Run, kind: FailureKind, failures: list[str]) -> None:
    found = run(FakeLog([MESSAGE], failing=kind, numbers=("12345", "67890")))
    assert found.failures == [f"{failure} could not be read: no response" for failure in failures]
