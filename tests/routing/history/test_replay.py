"""Which messages may be replayed, and that a second request has no effect."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
import redis

from sms_router.delivery.entry import MessagePart, OutboxEntry, ReplyKind
from sms_router.delivery.message import SendState
from sms_router.routing.history.record import (
    AnswerRecord,
    FailureCause,
    MessageRecord,
    OutboundAttempt,
    SentMessage,
    parse_record,
)
from sms_router.routing.history.replay import ReplayStatus, check_replayable, failed_rule, request_replay
from sms_router.routing.inbox.answer import Outcome
from sms_router.store.keys import bucket_of
from tests.routing.messages import ACCOUNT, CONTACT, message

NOW = 1_800_000_000_000
HOUR = 3_600_000
SERVICE = "MG" + "1" * 32
REFERENCE = f"{ACCOUNT}/SM{'0a' * 16}"
BUCKET = bucket_of(CONTACT)
ANSWER = AnswerRecord(NOW, "HOURS", (), ())


def attempt(name: str, state: SendState) -> OutboundAttempt:
    part = MessagePart.parse(name)
    assert part is not None
    return OutboundAttempt(part, state, NOW, "", "", "12345", "", ())


def sent(name: str, status: str) -> SentMessage:
    return SentMessage("SM1", "12345", status, "", MessagePart.parse(name))


def record(outcome: Outcome | None, **more: Any) -> MessageRecord:
    return MessageRecord(REFERENCE, NOW - HOUR, message(), outcome, **more)


@pytest.mark.parametrize(
    ("stored", "status"),
    [
        (record(Outcome.FAILED), ReplayStatus.YES),
        (record(Outcome.UNSENDABLE), ReplayStatus.YES),
        (record(Outcome.FALLBACK), ReplayStatus.YES),
        (record(Outcome.RELEASED), ReplayStatus.YES),
        (record(None), ReplayStatus.YES),
        (record(None, claimed_until=NOW + 1), ReplayStatus.IN_WORK),
        (MessageRecord(REFERENCE, NOW - 59_999, message(), None), ReplayStatus.IN_WORK),
        (MessageRecord(REFERENCE, NOW - 59_999, message(), Outcome.RELEASED), ReplayStatus.IN_WORK),
        (record(Outcome.REPLY), ReplayStatus.ANSWERED),
        (record(Outcome.SILENT), ReplayStatus.ANSWERED),
        (record(Outcome.MUTED), ReplayStatus.MUTED),
        (record(Outcome.LATE), ReplayStatus.YES),
        (record(Outcome.LATE, late_reply=ANSWER), ReplayStatus.ANSWERED),
        (
            record(Outcome.LATE, late_reply=ANSWER, attempts=(attempt("late.0", SendState.WITHDRAWN),)),
            ReplayStatus.YES,
        ),
        (
            record(Outcome.LATE, late_reply=ANSWER, attempts=(attempt("late.0", SendState.REFUSED),)),
            ReplayStatus.YES,
        ),
        (
            record(Outcome.LATE, late_reply=ANSWER, attempts=(attempt("late.0", SendState.UNKNOWN),)),
            ReplayStatus.UNKNOWN,
        ),
        (
            record(Outcome.LATE, late_reply=ANSWER, attempts=(attempt("late.0", SendState.SENT),)),
            ReplayStatus.ANSWERED,
        ),
        (
            record(Outcome.LATE, late_reply=ANSWER, attempts=(attempt("late.0", SendState.SENDING),)),
            ReplayStatus.IN_WORK,
        ),
        (
            record(
                Outcome.LATE,
                late_reply=ANSWER,
                attempts=(attempt("late.0", SendState.SENT), attempt("late.1", SendState.REFUSED)),
            ),
            ReplayStatus.ANSWERED,
        ),
        (record(Outcome.REPLY, attempts=(attempt("0.again", SendState.REFUSED),)), ReplayStatus.YES),
        (record(Outcome.REPLY, attempts=(attempt("0.again", SendState.UNKNOWN),)), ReplayStatus.UNKNOWN),
        (record(Outcome.REPLY, attempts=(attempt("0.again", SendState.SENT),)), ReplayStatus.ANSWERED),
        (
            record(
                Outcome.REPLY,
                attempts=(attempt("0.again", SendState.REFUSED),),
                sent=(sent("0", "undelivered"), sent("1", "delivered")),
            ),
            ReplayStatus.ANSWERED,
        ),
        (record(Outcome.FAILED, attempts=(attempt("0.again", SendState.UNKNOWN),)), ReplayStatus.YES),
        (record(Outcome.FAILED, bodies_removed=NOW), ReplayStatus.GONE),
        (MessageRecord(REFERENCE, None, None, Outcome.FAILED), ReplayStatus.GONE),
        (MessageRecord(REFERENCE, NOW - 25 * HOUR, message(), Outcome.FAILED), ReplayStatus.TOO_OLD),
    ],
)
def test_a_message_is_replayable_unless_it_was_answered(stored: MessageRecord, status: ReplayStatus) -> None:
    assert check_replayable(stored, NOW, 24 * HOUR, even_unknown=False).status is status
    risked = ReplayStatus.YES if status is ReplayStatus.UNKNOWN else status
    assert check_replayable(stored, NOW, 24 * HOUR, even_unknown=True).status is risked


def write(client: redis.Redis, **more: Any) -> MessageRecord:
    """Store a failed message, and read it."""
    fields: dict[Any, Any] = {
        "request": (
            f"MessageSid={REFERENCE[-34:]}&AccountSid={ACCOUNT}&From=%2B{CONTACT[1:]}&To=12345&Body=Hi"
        ),
        "received": 1,
        "answer": "<Response/>",
        "outcome": "failed",
        **{name.replace("__", ":").replace("_again", ".again"): value for name, value in more.items()},
    }
    client.hset(BUCKET.message(REFERENCE), mapping=fields)
    return parse_record(REFERENCE, client.hgetall(BUCKET.message(REFERENCE)), {}, ())  # type: ignore[arg-type]


def request(client: redis.Redis, stored: MessageRecord, *, even_unknown: bool = False) -> ReplayStatus:
    return request_replay(client, stored, SERVICE, 7, even_unknown=even_unknown).status


def outbox(client: redis.Redis) -> list[OutboxEntry]:
    lines = cast("list[bytes]", client.zrange(BUCKET.outbox, 0, -1))
    return [OutboxEntry.read(line) for line in lines]


async def test_of_concurrent_requests_one_is_accepted(valkey: redis.Redis) -> None:
    stored = write(valkey)
    statuses = await asyncio.gather(*(asyncio.to_thread(request, valkey, stored) for _ in range(10)))
    assert sorted(statuses) == sorted([ReplayStatus.ASKED] + [ReplayStatus.ALREADY] * 9)
    assert outbox(valkey) == [OutboxEntry(REFERENCE, ReplyKind.REPLAY.value, SERVICE, CONTACT)]
    assert valkey.pttl(BUCKET.outbox) > 0


def test_a_contact_who_has_opted_out_gets_no_replay(valkey: redis.Redis) -> None:
    stored = write(valkey)
    valkey.hset(BUCKET.contact(SERVICE, CONTACT), ":opt-out", "1 1 STOP")
    assert request(valkey, stored) is ReplayStatus.OPTED_OUT
    assert outbox(valkey) == []


@pytest.mark.parametrize(
    ("outcome", "name", "state", "status"),
    [
        ("late", "late.0", "waiting", ReplayStatus.IN_WORK),
        ("late", "late.0", "sent", ReplayStatus.ANSWERED),
        ("late", "late.0", "unknown", ReplayStatus.UNKNOWN),
        ("late", "late.0", "refused", ReplayStatus.ASKED),
        ("reply", "0.again", "sent", ReplayStatus.ANSWERED),
        ("failed", "0.again", "sent", ReplayStatus.ASKED),
        ("failed", "replay.0", "sent", ReplayStatus.ALREADY),
        ("failed", "replay.0", "sending", ReplayStatus.ALREADY),
        ("failed", "replay.0", "unknown", ReplayStatus.ALREADY),
        ("failed", "replay.0", "withdrawn", ReplayStatus.ASKED),
        ("failed", "replay.0.again", "sent", ReplayStatus.ALREADY),
    ],
)
def test_changes_since_the_check_are_taken_into_account(
    valkey: redis.Redis, outcome: str, name: str, state: str, status: ReplayStatus
) -> None:
    stored = write(valkey, outcome=outcome)
    more = {f"send:{name}": json.dumps({"state": state})}
    if name.startswith("replay"):
        more |= {"replay": "<Response><Message/></Response>", "replay:requested": "1"}
    valkey.hset(BUCKET.message(REFERENCE), mapping=dict[Any, Any](more))
    assert request(valkey, stored) is status
    assert request(valkey, stored, even_unknown=True) in {status, ReplayStatus.ASKED, ReplayStatus.ALREADY}
    if status is ReplayStatus.ASKED:
        assert not valkey.hexists(BUCKET.message(REFERENCE), "replay")


def test_an_empty_replay_is_final_and_a_failed_one_may_be_requested_again(valkey: redis.Redis) -> None:
    stored = write(valkey, replay="<Response/>", replay__asked=1)
    assert request(valkey, stored) is ReplayStatus.ALREADY
    stored = write(valkey, replay__failed="its handler failed")
    assert request(valkey, stored) is ReplayStatus.ASKED


def test_a_late_reply_in_the_outbox_prevents_a_replay(valkey: redis.Redis) -> None:
    stored = write(valkey, outcome="late")
    valkey.zadd(BUCKET.outbox, {OutboxEntry(REFERENCE, ReplyKind.LATE.value, SERVICE, CONTACT).line: 1})
    assert request(valkey, stored) is ReplayStatus.IN_WORK


def test_a_message_without_its_text_cannot_be_replayed(valkey: redis.Redis) -> None:
    stored = write(valkey)
    valkey.delete(BUCKET.message(REFERENCE))
    assert request(valkey, stored) is ReplayStatus.GONE
    write(valkey, bodies__removed=5)
    assert request(valkey, stored) is ReplayStatus.GONE
    assert outbox(valkey) == []


FALLBACK_CAUSE = FailureCause(NOW, "Twilio called the fallback: 11200 for https://sms.example.com/sms")


@pytest.mark.parametrize(
    ("stored", "rule"),
    [
        (record(Outcome.FAILED, answer=ANSWER), "HOURS"),
        (record(Outcome.FAILED, answer=AnswerRecord(NOW, "default: Redis is away", (), ())), "default"),
        (
            record(Outcome.LATE, answer=AnswerRecord(NOW, "deadline", (), ()), late_reply=ANSWER),
            "HOURS",
        ),
        (record(Outcome.FALLBACK, answer=AnswerRecord(NOW, "fallback_reply", (), ())), None),
        (
            record(
                Outcome.FALLBACK,
                answer=AnswerRecord(NOW, "fallback_reply", (), ()),
                causes=(FALLBACK_CAUSE, FailureCause(NOW, "order (\\d+): ValueError: no: such")),
            ),
            "order (\\d+)",
        ),
        (record(None), None),
    ],
)
def test_the_rule_that_has_failed_is_returned_where_it_was_stored(
    stored: MessageRecord, rule: str | None
) -> None:
    assert failed_rule(stored) == rule
