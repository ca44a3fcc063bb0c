"""Which messages may be answered once more, and that asking for it twice asks once."""

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
    DeliveredMessage,
    MessageRecord,
    OutboundAttempt,
    parse_record,
)
from sms_router.routing.history.replay import UNANSWERED, ReplayStatus, check_replayable, request_replay
from sms_router.routing.inbox.answer import Outcome
from sms_router.store.keys import bucket_of
from tests.routing.messages import ACCOUNT, PERSON, message

NOW = 1_800_000_000_000
HOUR = 3_600_000
SERVICE = "MG" + "1" * 32
REFERENCE = f"{ACCOUNT}/SM{'0a' * 16}"
BUCKET = bucket_of(PERSON)
SAID = AnswerRecord(NOW, "HOURS", (), ())


def sending(name: str, state: SendState) -> OutboundAttempt:
    piece = MessagePart.parse(name)
    assert piece is not None
    return OutboundAttempt(piece, state, NOW, "", "", "12345", "", ())


def sent(name: str, status: str) -> DeliveredMessage:
    return DeliveredMessage("SM1", "12345", status, "", MessagePart.parse(name))


def episode(outcome: Outcome | None, **more: Any) -> MessageRecord:
    return MessageRecord(REFERENCE, NOW - HOUR, message(), outcome, **more)


@pytest.mark.parametrize(
    ("kept", "verdict"),
    [
        (episode(Outcome.FAILED), ReplayStatus.YES),
        (episode(Outcome.UNSENDABLE), ReplayStatus.YES),
        (episode(Outcome.FALLBACK), ReplayStatus.YES),
        (episode(Outcome.RELEASED), ReplayStatus.YES),
        (episode(None), ReplayStatus.YES),
        (episode(None, in_work_until=NOW + 1), ReplayStatus.IN_WORK),
        (MessageRecord(REFERENCE, NOW - UNANSWERED + 1, message(), None), ReplayStatus.IN_WORK),
        (MessageRecord(REFERENCE, NOW - UNANSWERED + 1, message(), Outcome.RELEASED), ReplayStatus.IN_WORK),
        (episode(Outcome.REPLY), ReplayStatus.ANSWERED),
        (episode(Outcome.SILENT), ReplayStatus.ANSWERED),
        (episode(Outcome.MUTED), ReplayStatus.MUTED),
        (episode(Outcome.LATE), ReplayStatus.YES),
        (episode(Outcome.LATE, late=SAID), ReplayStatus.ANSWERED),
        (
            episode(Outcome.LATE, late=SAID, sendings=(sending("late.0", SendState.WITHDRAWN),)),
            ReplayStatus.YES,
        ),
        (
            episode(Outcome.LATE, late=SAID, sendings=(sending("late.0", SendState.REFUSED),)),
            ReplayStatus.YES,
        ),
        (
            episode(Outcome.LATE, late=SAID, sendings=(sending("late.0", SendState.UNKNOWN),)),
            ReplayStatus.UNKNOWN,
        ),
        (
            episode(Outcome.LATE, late=SAID, sendings=(sending("late.0", SendState.SENT),)),
            ReplayStatus.ANSWERED,
        ),
        (
            episode(Outcome.LATE, late=SAID, sendings=(sending("late.0", SendState.SENDING),)),
            ReplayStatus.IN_WORK,
        ),
        (
            episode(
                Outcome.LATE,
                late=SAID,
                sendings=(sending("late.0", SendState.SENT), sending("late.1", SendState.REFUSED)),
            ),
            ReplayStatus.ANSWERED,
        ),
        (episode(Outcome.REPLY, sendings=(sending("0.again", SendState.REFUSED),)), ReplayStatus.YES),
        (episode(Outcome.REPLY, sendings=(sending("0.again", SendState.UNKNOWN),)), ReplayStatus.UNKNOWN),
        (episode(Outcome.REPLY, sendings=(sending("0.again", SendState.SENT),)), ReplayStatus.ANSWERED),
        (
            episode(
                Outcome.REPLY,
                sendings=(sending("0.again", SendState.REFUSED),),
                sent=(sent("0", "undelivered"), sent("1", "delivered")),
            ),
            ReplayStatus.ANSWERED,
        ),
        (episode(Outcome.FAILED, sendings=(sending("0.again", SendState.UNKNOWN),)), ReplayStatus.YES),
        (episode(Outcome.FAILED, bodies_removed=NOW), ReplayStatus.GONE),
        (MessageRecord(REFERENCE, None, None, Outcome.FAILED), ReplayStatus.GONE),
        (MessageRecord(REFERENCE, NOW - 25 * HOUR, message(), Outcome.FAILED), ReplayStatus.TOO_OLD),
    ],
)
def test_what_may_be_answered_once_more(kept: MessageRecord, verdict: ReplayStatus) -> None:
    assert check_replayable(kept, NOW, 24 * HOUR, even_unknown=False).verdict is verdict
    risked = ReplayStatus.YES if verdict is ReplayStatus.UNKNOWN else verdict
    assert check_replayable(kept, NOW, 24 * HOUR, even_unknown=True).verdict is risked


def write(client: redis.Redis, **more: Any) -> MessageRecord:
    """Write down a message that failed, and read it."""
    fields: dict[Any, Any] = {
        "request": f"MessageSid={REFERENCE[-34:]}&AccountSid={ACCOUNT}&From=%2B{PERSON[1:]}&To=12345&Body=Hi",
        "received": 1,
        "answer": "<Response/>",
        "outcome": "failed",
        **{name.replace("__", ":").replace("_again", ".again"): value for name, value in more.items()},
    }
    client.hset(BUCKET.message(REFERENCE), mapping=fields)
    return parse_record(REFERENCE, client.hgetall(BUCKET.message(REFERENCE)), {}, ())  # type: ignore[arg-type]


def asked(client: redis.Redis, kept: MessageRecord, *, even_unknown: bool = False) -> ReplayStatus:
    return request_replay(client, kept, SERVICE, 7, even_unknown=even_unknown).verdict


def waiting(client: redis.Redis) -> list[OutboxEntry]:
    lines = cast("list[bytes]", client.zrange(BUCKET.outbox, 0, -1))
    return [OutboxEntry.read(line) for line in lines]


async def test_of_many_who_ask_one_has_asked(valkey: redis.Redis) -> None:
    kept = write(valkey)
    verdicts = await asyncio.gather(*(asyncio.to_thread(asked, valkey, kept) for _ in range(10)))
    assert sorted(verdicts) == sorted([ReplayStatus.ASKED] + [ReplayStatus.ALREADY] * 9)
    assert waiting(valkey) == [OutboxEntry(REFERENCE, ReplyKind.REPLAY.value, SERVICE, PERSON)]
    assert valkey.pttl(BUCKET.outbox) > 0


def test_somebody_who_has_opted_out_meanwhile_gets_nothing(valkey: redis.Redis) -> None:
    kept = write(valkey)
    valkey.hset(BUCKET.person(SERVICE, PERSON), "out", "1 1 STOP")
    assert asked(valkey, kept) is ReplayStatus.OPTED_OUT
    assert waiting(valkey) == []


@pytest.mark.parametrize(
    ("outcome", "name", "state", "verdict"),
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
def test_what_has_happened_since_it_was_judged_counts(
    valkey: redis.Redis, outcome: str, name: str, state: str, verdict: ReplayStatus
) -> None:
    kept = write(valkey, outcome=outcome)
    more = {f"send:{name}": json.dumps({"state": state})}
    if name.startswith("replay"):
        more |= {"replay": "<Response><Message/></Response>", "replay:asked": "1"}
    valkey.hset(BUCKET.message(REFERENCE), mapping=dict[Any, Any](more))
    assert asked(valkey, kept) is verdict
    assert asked(valkey, kept, even_unknown=True) in {verdict, ReplayStatus.ASKED, ReplayStatus.ALREADY}
    if verdict is ReplayStatus.ASKED:
        assert not valkey.hexists(BUCKET.message(REFERENCE), "replay")


def test_a_replay_that_said_nothing_is_over_and_one_that_failed_is_not(valkey: redis.Redis) -> None:
    kept = write(valkey, replay="<Response/>", replay__asked=1)
    assert asked(valkey, kept) is ReplayStatus.ALREADY
    kept = write(valkey, replay__failed="its handler failed")
    assert asked(valkey, kept) is ReplayStatus.ASKED


def test_late_work_that_is_still_in_the_outbox_comes_first(valkey: redis.Redis) -> None:
    kept = write(valkey, outcome="late")
    valkey.zadd(BUCKET.outbox, {OutboxEntry(REFERENCE, ReplyKind.LATE.value, SERVICE, PERSON).line: 1})
    assert asked(valkey, kept) is ReplayStatus.IN_WORK


def test_what_is_gone_cannot_be_asked_for(valkey: redis.Redis) -> None:
    kept = write(valkey)
    valkey.delete(BUCKET.message(REFERENCE))
    assert asked(valkey, kept) is ReplayStatus.GONE
    write(valkey, bodies__removed=5)
    assert asked(valkey, kept) is ReplayStatus.GONE
    assert waiting(valkey) == []
