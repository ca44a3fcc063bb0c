"""Messages that are no replies: what is sent, when, and what is refused."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import pytest
import redis

from sms_router import Duplicate, OptedOut, Part, Refused, Reply, Sent, step
from sms_router.delivery.outbox import Outbox
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.dispatch.conversation_steps import ConversationManager, ConversationPolicy
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.handler import Handler
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.schedule import TimeZones
from sms_router.routing.opt_outs.evidence import read_ledger
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.outbound_sends import OutboundSends
from sms_router.routing.pipeline.quiet_hours import QuietHours
from sms_router.senders.error_table import load_error_table
from sms_router.senders.models import Capability, ReplyFrom, Sender, SenderKind
from sms_router.senders.pool import Pool, find_pool
from sms_router.store.keys import bucket_of
from sms_router.twilio.inbound import parse_stored_request
from tests.routing.messages import message
from tests.routing.workers import STOP, worker

ACCOUNT, SERVICE = "AC" + "1" * 32, "MG" + "1" * 32
QUIET_SERVICE = "MG" + "2" * 32
CONTACT = "+14155550123"
BUCKET = bucket_of(CONTACT)
POOL = Pool(
    SERVICE,
    1,
    (
        Sender("PN1", "+14155550100", SenderKind.LONG_CODE, "US", Capability.SMS),
        Sender("SC1", "12345", SenderKind.SHORT_CODE, "US", Capability.SMS),
    ),
)


@step("answer")
async def answer(argument: str) -> str:
    return argument


@dataclass(frozen=True, slots=True)
class OutboundFixture:
    sends: OutboundSends
    contacts: Contacts
    outbox: Outbox
    woken: list[str]


@pytest.fixture
async def fixture(valkey_url: str, tmp_path: Path) -> AsyncIterator[OutboundFixture]:
    def pool_for(service: str | None, texted: str, _account: str) -> Pool | None:
        pools = {SERVICE: POOL, QUIET_SERVICE: replace(POOL, service_sid=QUIET_SERVICE)}
        return find_pool(pools, service, texted)

    async with worker(valkey_url, tmp_path) as one:
        contacts = Contacts(one.store, one.journal, pool_for, load_error_table())
        composer = Composer(pool_for, {None: ReplyFrom.SHORT_CODE_FIRST}, "https://sms.example.com")
        outbox = Outbox(one.store, one.journal, 7, 60)
        steps = {"answer": Handler.of(answer, HandlerEnvironment())}
        manager = ConversationManager(steps, ConversationPolicy())
        dispatcher = Dispatcher(RuleTable([]), handlers=HandlerRegistry([], [], manager))
        woken: list[str] = []
        accounts, zones = dict.fromkeys((SERVICE, QUIET_SERVICE), ACCOUNT), TimeZones("America/New_York")
        local, hour = datetime.now(ZoneInfo("America/Los_Angeles")), timedelta(hours=1)
        quiet = QuietHours("", {QUIET_SERVICE: f"{local - hour:%H:%M}-{local + hour:%H:%M}"}, zones)
        sends = OutboundSends(
            contacts, dispatcher, composer, outbox, pool_for, accounts, zones, quiet, woken.append
        )
        yield OutboundFixture(sends, contacts, outbox, woken)


def entries(valkey: redis.Redis) -> dict[str, float]:
    """Return what is scheduled for the contact, and in how many seconds it is due."""
    found = cast("list[tuple[bytes, float]]", valkey.zrange(BUCKET.scheduled, 0, -1, withscores=True))
    return {line.decode(): due / 1000 - time.time() for line, due in found}


async def test_a_message_is_sent_once_for_its_key(fixture: OutboundFixture, valkey: redis.Redis) -> None:
    first = await fixture.sends.send(CONTACT, "Your table is ready.", key="table-4")
    assert isinstance(first, Sent)
    assert await fixture.sends.send(CONTACT, "Your table is ready.", key="table-4") == Duplicate()
    assert list(entries(valkey)) == [f"{ACCOUNT}/{first.sid} late.0 {SERVICE} {CONTACT}"]
    assert fixture.woken == [CONTACT]
    stored = cast("dict[bytes, bytes]", valkey.hgetall(BUCKET.message(f"{ACCOUNT}/{first.sid}")))
    assert b'from="12345"' in stored[b"late"]
    assert b"Your table is ready." in stored[b"late"]
    assert stored[b"late:trail"].startswith(b"sms.send table-4\n12345: chosen")


async def test_a_handler_that_is_run_again_sends_nothing_twice(
    fixture: OutboundFixture, valkey: redis.Redis
) -> None:
    origin = message(service=QUIET_SERVICE)
    for expected in (Sent, Duplicate):
        sms = fixture.sends.requested_by("handler remind", origin)
        results = [await sms.send(CONTACT, "Hello."), await sms.send(CONTACT, "Hello.")]
        assert [type(result) for result in results] == [expected, expected]
    assert {line.split()[2] for line in entries(valkey)} == {QUIET_SERVICE}


async def test_a_message_of_several_parts_waits_until_it_is_due(
    fixture: OutboundFixture, valkey: redis.Redis
) -> None:
    reply = Reply(parts=[Part("One"), Part("Two")])
    for at in (timedelta(days=30), datetime.now().astimezone() + timedelta(days=30)):
        sent = await fixture.sends.send(CONTACT, reply, at=at, key=str(at))
        assert isinstance(sent, Sent)
        key = BUCKET.message(f"{ACCOUNT}/{sent.sid}")
        assert sent.at - datetime.now(UTC) > timedelta(days=29)
    assert sorted(round(due / 86_400) for due in entries(valkey).values()) == [30, 30, 30, 30]
    assert fixture.woken == []
    assert await fixture.outbox.lease_due(BUCKET, 9) == []
    assert valkey.ttl(key) > 36 * 86_400
    assert valkey.ttl(BUCKET.scheduled) > 36 * 86_400

    valkey.zadd(BUCKET.scheduled, dict.fromkeys(entries(valkey), 1))
    due = await fixture.outbox.lease_due(BUCKET, 9)
    assert sorted(entry.name for entry in due) == ["late.0", "late.0", "late.1", "late.1"]
    assert (valkey.xlen(BUCKET.journal), entries(valkey)) == (2, {})


async def test_a_message_waits_for_the_end_of_quiet_hours_unless_it_is_urgent(
    fixture: OutboundFixture, valkey: redis.Redis
) -> None:
    for urgent, is_due in ((False, False), (True, True)):
        sent = await fixture.sends.send(CONTACT, "Hello.", service=QUIET_SERVICE, urgent=urgent)
        assert isinstance(sent, Sent)
        assert (sent.at <= datetime.now(UTC)) is is_due
        request = valkey.hget(BUCKET.message(f"{ACCOUNT}/{sent.sid}"), "request")
        message = parse_stored_request(cast("bytes", request))
        assert message is not None
        assert (fixture.sends.quiet_until(message) == 0) is is_due
    assert fixture.woken == [CONTACT]


async def test_a_message_that_waits_can_be_cancelled(fixture: OutboundFixture, valkey: redis.Redis) -> None:
    await fixture.sends.send(CONTACT, "Hello.", at=timedelta(hours=1), key="a")
    assert await fixture.sends.cancel(CONTACT, "b") is False
    assert await fixture.sends.cancel("+1 (415) 555-0123", "a") is True
    assert entries(valkey) == {}
    assert await fixture.sends.cancel(CONTACT, "a") is False
    assert isinstance(await fixture.sends.send(CONTACT, "Hello.", at=timedelta(hours=2), key="a"), Sent)
    assert [round(due / 3600) for due in entries(valkey).values()] == [2]
    assert await fixture.sends.send(CONTACT, "Hello.", key="a") == Duplicate()


async def test_a_contact_who_has_opted_out_gets_nothing(
    fixture: OutboundFixture, valkey: redis.Redis
) -> None:
    await fixture.contacts.change_consent(SERVICE, CONTACT, STOP)
    assert await fixture.sends.send(CONTACT, "Hello.", key="a") == OptedOut()
    assert entries(valkey) == {}
    refusal, _ = sorted(
        read_ledger(valkey, CONTACT), key=lambda entry: entry.event
    )  # maybe in one millisecond
    assert (refusal.event, refusal.how, refusal.text) == ("refused", "sms.send a", "Hello.")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"to": "4155550123"}, "to: '4155550123' is not a number: write it with its country code"),
        ({"to": "12345"}, "to: '12345' is not a number: write it with its country code"),
        ({"service": "MG2"}, "the Messaging Service MG2 is not configured"),
        ({"at": timedelta(days=401)}, "at is more than 400 days from now"),
        ({"then": "nowhere"}, "no step has the name 'nowhere'"),
        ({"then": "answer", "state": {"a": object()}}, "conversation.state cannot be stored"),
        ({"reply": Reply(parts=[Part("Hi", to=CONTACT)])}, "a part is addressed to another contact"),
        ({"reply": ""}, "there is nothing to send"),
    ],
)
async def test_what_cannot_be_sent_is_refused_with_the_reason(
    fixture: OutboundFixture, arguments: dict[str, object], reason: str
) -> None:
    result = await fixture.sends.send(**{"to": CONTACT, "reply": "Hello.", **arguments})  # type: ignore[arg-type]
    assert isinstance(result, Refused)
    assert reason in result.reason


async def test_the_conversation_begins_when_the_message_leaves(
    fixture: OutboundFixture, valkey: redis.Redis
) -> None:
    sent = await fixture.sends.send(CONTACT, Reply("Is 9 fine?", then=answer), state={"at": 9})
    assert isinstance(sent, Sent)
    key = BUCKET.conversation(SERVICE, CONTACT)
    assert not valkey.exists(key)
    request = valkey.hget(BUCKET.message(f"{ACCOUNT}/{sent.sid}"), "request")
    assert isinstance(request, bytes)
    message = parse_stored_request(request)
    assert message is not None
    await fixture.sends.begin_conversation(message)
    stored = valkey.hget(key, "state")
    assert isinstance(stored, bytes)
    assert json.loads(stored) == {"step": "answer", "state": {"at": 9}, "lasts": 900.0}
