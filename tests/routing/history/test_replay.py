"""Which messages may be answered once more, and that asking for it twice asks once."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
import redis

from sms_router.delivery.entry import Entry, Kind, Piece
from sms_router.delivery.message import State
from sms_router.routing.history.record import Episode, Said, Sending, Sent, read_episode
from sms_router.routing.history.replay import UNANSWERED, Verdict, ask, judge
from sms_router.routing.inbox.answer import Outcome
from sms_router.store.keys import bucket_of
from tests.routing.messages import ACCOUNT, PERSON, message

NOW = 1_800_000_000_000
HOUR = 3_600_000
SERVICE = "MG" + "1" * 32
REFERENCE = f"{ACCOUNT}/SM{'0a' * 16}"
BUCKET = bucket_of(PERSON)
SAID = Said(NOW, "HOURS", (), ())


def sending(name: str, state: State) -> Sending:
    piece = Piece.parse(name)
    assert piece is not None
    return Sending(piece, state, NOW, "", "", "12345", "", ())


def sent(name: str, status: str) -> Sent:
    return Sent("SM1", "12345", status, "", Piece.parse(name))


def episode(outcome: Outcome | None, **more: Any) -> Episode:
    return Episode(REFERENCE, NOW - HOUR, message(), outcome, **more)


@pytest.mark.parametrize(
    ("kept", "verdict"),
    [
        (episode(Outcome.FAILED), Verdict.YES),
        (episode(Outcome.UNSENDABLE), Verdict.YES),
        (episode(Outcome.FALLBACK), Verdict.YES),
        (episode(Outcome.RELEASED), Verdict.YES),
        (episode(None), Verdict.YES),
        (episode(None, in_work_until=NOW + 1), Verdict.IN_WORK),
        (Episode(REFERENCE, NOW - UNANSWERED + 1, message(), None), Verdict.IN_WORK),
        (Episode(REFERENCE, NOW - UNANSWERED + 1, message(), Outcome.RELEASED), Verdict.IN_WORK),
        (episode(Outcome.REPLY), Verdict.ANSWERED),
        (episode(Outcome.SILENT), Verdict.ANSWERED),
        (episode(Outcome.MUTED), Verdict.MUTED),
        (episode(Outcome.LATE), Verdict.YES),
        (episode(Outcome.LATE, late=SAID), Verdict.ANSWERED),
        (episode(Outcome.LATE, late=SAID, sendings=(sending("late.0", State.WITHDRAWN),)), Verdict.YES),
        (episode(Outcome.LATE, late=SAID, sendings=(sending("late.0", State.REFUSED),)), Verdict.YES),
        (episode(Outcome.LATE, late=SAID, sendings=(sending("late.0", State.UNKNOWN),)), Verdict.UNKNOWN),
        (episode(Outcome.LATE, late=SAID, sendings=(sending("late.0", State.SENT),)), Verdict.ANSWERED),
        (episode(Outcome.LATE, late=SAID, sendings=(sending("late.0", State.SENDING),)), Verdict.IN_WORK),
        (
            episode(
                Outcome.LATE,
                late=SAID,
                sendings=(sending("late.0", State.SENT), sending("late.1", State.REFUSED)),
            ),
            Verdict.ANSWERED,
        ),
        (episode(Outcome.REPLY, sendings=(sending("0.again", State.REFUSED),)), Verdict.YES),
        (episode(Outcome.REPLY, sendings=(sending("0.again", State.UNKNOWN),)), Verdict.UNKNOWN),
        (episode(Outcome.REPLY, sendings=(sending("0.again", State.SENT),)), Verdict.ANSWERED),
        (
            episode(
                Outcome.REPLY,
                sendings=(sending("0.again", State.REFUSED),),
                sent=(sent("0", "undelivered"), sent("1", "delivered")),
            ),
            Verdict.ANSWERED,
        ),
        (episode(Outcome.FAILED, sendings=(sending("0.again", State.UNKNOWN),)), Verdict.YES),
        (episode(Outcome.FAILED, bodies_removed=NOW), Verdict.GONE),
        (Episode(REFERENCE, None, None, Outcome.FAILED), Verdict.GONE),
        (Episode(REFERENCE, NOW - 25 * HOUR, message(), Outcome.FAILED), Verdict.TOO_OLD),
    ],
)
def test_what_may_be_answered_once_more(kept: Episode, verdict: Verdict) -> None:
    assert judge(kept, NOW, 24 * HOUR, even_unknown=False).verdict is verdict
    risked = Verdict.YES if verdict is Verdict.UNKNOWN else verdict
    assert judge(kept, NOW, 24 * HOUR, even_unknown=True).verdict is risked


def write(client: redis.Redis, **more: Any) -> Episode:
    """Write down a message that failed, and read it."""
    fields: dict[Any, Any] = {
        "request": f"MessageSid={REFERENCE[-34:]}&AccountSid={ACCOUNT}&From=%2B{PERSON[1:]}&To=12345&Body=Hi",
        "received": 1,
        "answer": "<Response/>",
        "outcome": "failed",
        **{name.replace("__", ":").replace("_again", ".again"): value for name, value in more.items()},
    }
    client.hset(BUCKET.message(REFERENCE), mapping=fields)
    return read_episode(REFERENCE, client.hgetall(BUCKET.message(REFERENCE)), {}, ())  # type: ignore[arg-type]


def asked(client: redis.Redis, kept: Episode, *, even_unknown: bool = False) -> Verdict:
    return ask(client, kept, SERVICE, 7, even_unknown=even_unknown).verdict


def waiting(client: redis.Redis) -> list[Entry]:
    lines = cast("list[bytes]", client.zrange(BUCKET.outbox, 0, -1))
    return [Entry.read(line) for line in lines]


async def test_of_many_who_ask_one_has_asked(valkey: redis.Redis) -> None:
    kept = write(valkey)
    verdicts = await asyncio.gather(*(asyncio.to_thread(asked, valkey, kept) for _ in range(10)))
    assert sorted(verdicts) == sorted([Verdict.ASKED] + [Verdict.ALREADY] * 9)
    assert waiting(valkey) == [Entry(REFERENCE, Kind.REPLAY.value, SERVICE, PERSON)]
    assert valkey.pttl(BUCKET.outbox) > 0


def test_somebody_who_has_opted_out_meanwhile_gets_nothing(valkey: redis.Redis) -> None:
    kept = write(valkey)
    valkey.hset(BUCKET.person(SERVICE, PERSON), "out", "1 1 STOP")
    assert asked(valkey, kept) is Verdict.OPTED_OUT
    assert waiting(valkey) == []


@pytest.mark.parametrize(
    ("outcome", "name", "state", "verdict"),
    [
        ("late", "late.0", "waiting", Verdict.IN_WORK),
        ("late", "late.0", "sent", Verdict.ANSWERED),
        ("late", "late.0", "unknown", Verdict.UNKNOWN),
        ("late", "late.0", "refused", Verdict.ASKED),
        ("reply", "0.again", "sent", Verdict.ANSWERED),
        ("failed", "0.again", "sent", Verdict.ASKED),
        ("failed", "replay.0", "sent", Verdict.ALREADY),
        ("failed", "replay.0", "sending", Verdict.ALREADY),
        ("failed", "replay.0", "unknown", Verdict.ALREADY),
        ("failed", "replay.0", "withdrawn", Verdict.ASKED),
        ("failed", "replay.0.again", "sent", Verdict.ALREADY),
    ],
)
def test_what_has_happened_since_it_was_judged_counts(
    valkey: redis.Redis, outcome: str, name: str, state: str, verdict: Verdict
) -> None:
    kept = write(valkey, outcome=outcome)
    more = {f"send:{name}": json.dumps({"state": state})}
    if name.startswith("replay"):
        more |= {"replay": "<Response><Message/></Response>", "replay:asked": "1"}
    valkey.hset(BUCKET.message(REFERENCE), mapping=dict[Any, Any](more))
    assert asked(valkey, kept) is verdict
    assert asked(valkey, kept, even_unknown=True) in {verdict, Verdict.ASKED, Verdict.ALREADY}
    if verdict is Verdict.ASKED:
        assert not valkey.hexists(BUCKET.message(REFERENCE), "replay")


def test_a_replay_that_said_nothing_is_over_and_one_that_failed_is_not(valkey: redis.Redis) -> None:
    kept = write(valkey, replay="<Response/>", replay__asked=1)
    assert asked(valkey, kept) is Verdict.ALREADY
    kept = write(valkey, replay__failed="its handler failed")
    assert asked(valkey, kept) is Verdict.ASKED


def test_late_work_that_is_still_in_the_outbox_comes_first(valkey: redis.Redis) -> None:
    kept = write(valkey, outcome="late")
    valkey.zadd(BUCKET.outbox, {Entry(REFERENCE, Kind.LATE.value, SERVICE, PERSON).line: 1})
    assert asked(valkey, kept) is Verdict.IN_WORK


def test_what_is_gone_cannot_be_asked_for(valkey: redis.Redis) -> None:
    kept = write(valkey)
    valkey.delete(BUCKET.message(REFERENCE))
    assert asked(valkey, kept) is Verdict.GONE
    write(valkey, bodies__removed=5)
    assert asked(valkey, kept) is Verdict.GONE
    assert waiting(valkey) == []
