"""Events of handlers with ``@on``: which are raised, how often they are handled, what follows a failure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
import redis

from sms_router import Event, Reaction, Reply
from sms_router.delivery.entry import EVENT, TIMER, OutboxEntry
from sms_router.delivery.outbox import Outbox
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.contacts.receipt_analysis import ReceiptAnalyzer
from sms_router.routing.contacts.status_callbacks import ReceiptHandler
from sms_router.routing.dispatch.conversation_steps import ConversationManager, ConversationPolicy
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.handler.conversation import Conversation
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.events import EVENT_KINDS, EventRecorder
from sms_router.routing.handler.handler import Handler
from sms_router.routing.history.erasure import ContactEraser
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.opt_outs.evidence import Event as Change
from sms_router.routing.opt_outs.evidence import Evidence, How
from sms_router.routing.opt_outs.opt_out_list import OptOut, OptOutList
from sms_router.routing.pipeline.event_runner import EventRunner
from sms_router.senders.error_table import load_error_table
from sms_router.store.keys import bucket_of
from sms_router.twilio.status import MessageStatus, Receipt
from tests.routing.messages import message
from tests.routing.workers import STOP, worker

ACCOUNT, SERVICE, CONTACT = "AC" + "1" * 32, "MG" + "1" * 32, "+14155550123"
BUCKET = bucket_of(CONTACT)
SENT = "SM" + "5" * 32


@dataclass(slots=True)
class Team:
    """Two handlers of every event; the first fails a given number of times."""

    contacts: Contacts
    outbox: Outbox
    receipts: ReceiptHandler
    conversations: ConversationManager
    valkey: redis.Redis
    events: list[Event] = field(default_factory=list)
    failures: int = 0
    result: object = None
    counts: list[tuple[str, str]] = field(default_factory=list)
    run: Callable[[OutboxEntry], Awaitable[None]] = field(init=False)

    async def first(self, event: Event) -> object:
        if self.failures:
            self.failures -= 1
            raise RuntimeError(f"{event.contact} is unknown")
        return self.result

    def second(self, event: Event) -> None:
        self.events.append(event)

    async def handle(self) -> list[str]:
        """Handle all waiting entries, due or not, and return their kinds."""
        waiting = [line for line, _ in self.valkey.zscan_iter(BUCKET.events)]
        if waiting:
            self.valkey.zadd(BUCKET.events, dict.fromkeys(waiting, 1))
        entries = await self.outbox.lease_due(BUCKET, 9, 9)
        for entry in entries:
            await self.run(entry)
        return [entry.name for entry in entries]

    def causes(self) -> list[str]:
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.valkey.xrange(BUCKET.dead_letters))
        return [fields[b"cause"].decode() for _, fields in entries]


@pytest.fixture
async def team(valkey_url: str, valkey: redis.Redis, tmp_path: Path) -> AsyncIterator[Team]:
    async with worker(valkey_url, tmp_path) as one:
        contacts = Contacts(one.store, one.journal, lambda *_: None, load_error_table())
        contacts.events = EventRecorder(EVENT_KINDS, {SERVICE: ACCOUNT})
        receipts = ReceiptHandler(one.journal, 7, ReceiptAnalyzer(contacts, lambda *_: None))
        steps = {"day": Handler.of(lambda: None, HandlerEnvironment())}
        manager = ConversationManager(steps, ConversationPolicy(), has_timers=True)
        outbox = Outbox(one.store, one.journal, 7, 60)
        team = Team(contacts, outbox, receipts, manager, valkey)
        environment = HandlerEnvironment()
        handlers = [
            Handler.of(function, environment, is_for_events=True) for function in (team.first, team.second)
        ]
        registry = HandlerRegistry([], [], manager, on=dict.fromkeys(EVENT_KINDS, handlers))
        dispatcher = Dispatcher(RuleTable([]), handlers=registry)
        team.run = EventRunner(outbox, contacts, dispatcher, lambda *one: team.counts.append(one)).run
        yield team
        await environment.aclose()


def evidence(change: Change) -> Evidence:
    return Evidence(change, How.KEYWORD, "STOP", "SM1", "12345", "Stop!")


def receipt(status: MessageStatus, code: int | None = None) -> Receipt:
    return Receipt(SENT, ACCOUNT, status, code, "12345", CONTACT, f"SM{'7' * 32}.late.0", SERVICE)


async def test_a_change_of_the_opt_out_list_is_an_event_once(team: Team) -> None:
    for at in (1000, 2000):
        await team.contacts.change_consent(SERVICE, CONTACT, evidence(Change.STOP), f"{ACCOUNT}/SM1", at)
    await team.contacts.change_consent(SERVICE, CONTACT, Evidence(Change.START, How.OPERATOR), None, 3000)
    await team.contacts.change_consent(SERVICE, CONTACT, Evidence(Change.START, How.OPERATOR), None, 4000)
    assert await team.handle() == [EVENT, EVENT]
    assert sorted((event.kind, event.at.timestamp(), event.reason) for event in team.events) == [
        ("opted_in", 3.0, ""),
        ("opted_out", 1.0, "STOP"),
    ]
    (stop,) = (event for event in team.events if event.kind == "opted_out")
    assert (stop.contact, stop.service, stop.sender) == (CONTACT, SERVICE, "12345")
    assert (stop.text, stop.message_sid) == ("Stop!", "SM1")
    assert (await team.handle(), team.valkey.keys("*message*")) == ([], [])


async def test_operators_raise_events_and_files_do_not(team: Team) -> None:
    entry = OptOut(CONTACT, SERVICE, 1000, "asked by phone")
    for events, how, expected in (
        (team.contacts.events, How.OPERATOR, ["opted_out"]),
        (team.contacts.events, How.IMPORT, []),
        (EventRecorder(), How.OPERATOR, []),
    ):
        team.valkey.flushdb()
        OptOutList(team.valkey, 1000, 1, events).add([entry], how)
        await team.handle()
        assert [event.kind for event in team.events] == expected
        team.events.clear()


async def test_a_final_status_is_an_event_once(team: Team) -> None:
    for status in (MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.DELIVERED):
        await team.receipts.handle(receipt(status))
    await team.handle()
    (event,) = team.events
    assert (event.kind, event.message_sid, event.answers) == ("delivered", SENT, f"SM{'7' * 32}")
    assert (event.service, event.sender, event.error_code) == (SERVICE, "12345", None)


async def test_a_message_that_is_lost_is_an_event_with_the_code(team: Team) -> None:
    await team.receipts.handle(receipt(MessageStatus.UNDELIVERED, 30003))
    await team.handle()
    assert [(event.kind, event.error_code) for event in team.events] == [("undelivered", 30003)]


async def test_a_handler_that_fails_is_called_again_alone(team: Team) -> None:
    team.failures = 2
    await team.contacts.change_consent(SERVICE, CONTACT, STOP)
    for _ in range(4):
        await team.handle()
    assert team.counts == [("opted_out", "retried"), ("opted_out", "retried"), ("opted_out", "handled")]
    assert (len(team.events), team.causes()) == (1, [])


@pytest.mark.parametrize(
    ("failures", "result", "cause"),
    [
        (9, None, "RuntimeError: +1415•••0123 is unknown"),
        (0, Reply("Bye"), "Team.first returned Reply; a handler with @on returns None, and"),
    ],
)
async def test_an_event_that_keeps_failing_is_a_dead_letter(
    team: Team, failures: int, result: object, cause: str
) -> None:
    team.failures, team.result = failures, result
    await team.contacts.change_consent(SERVICE, CONTACT, STOP)
    for _ in range(6):
        await team.handle()
    assert team.counts[-2:] == [("opted_out", "retried"), ("opted_out", "failed")]
    (text,) = team.causes()
    assert text.startswith("event opted_out, attempt 5: ")
    assert cause.partition("+")[0] in text
    assert (team.valkey.zcard(BUCKET.events), team.valkey.xlen(BUCKET.journal)) == (0, 1)
    eraser = ContactEraser(team.valkey, CONTACT)
    assert eraser.find().counts["messages"] == 1


@pytest.mark.parametrize(("lost", "handled"), [(4, 1), (5, 0)])
async def test_an_event_whose_worker_is_lost_is_handled_by_another_one(
    team: Team, lost: int, handled: int
) -> None:
    await team.contacts.change_consent(SERVICE, CONTACT, STOP)
    (line,) = (line for line, _ in team.valkey.zscan_iter(BUCKET.events))
    for _ in range(lost):
        assert await team.outbox.claim_event(OutboxEntry.read(line)) is not None
    assert await team.handle() == [EVENT]
    assert len(team.events) == handled
    cause = "event opted_out, attempt 6: its handlers never finished: each time their worker was lost"
    assert team.causes() == [cause] * (not handled)
    assert team.valkey.zcard(BUCKET.events) == 0


async def test_events_beyond_the_limit_are_dead_letters(team: Team) -> None:
    team.valkey.zadd(BUCKET.events, {f"AC/SM{number} event MG1 {CONTACT}": 1 for number in range(1000)})
    await team.contacts.change_consent(SERVICE, CONTACT, STOP)
    assert team.causes() == ["event: not handled, because 1000 others wait already"]
    assert team.valkey.zcard(BUCKET.events) == 1000


async def test_a_reaction_is_an_event(team: Team) -> None:
    liked = message("Liked “See you”", sender=CONTACT)
    for _ in range(2):
        await team.contacts.raise_event("reaction", SERVICE, CONTACT, liked.sid, text=liked.body)
    await team.handle()
    assert [(event.kind, event.text) for event in team.events] == [("reaction", "Liked “See you”")]
    assert team.events[0].reaction == Reaction("like", "See you")


async def test_a_conversation_expires_once_unless_the_contact_goes_on(team: Team) -> None:
    conversation = Conversation(None, 60)
    conversation.state = {"people": 2}
    conversation.finish("day", team.conversations.steps, is_declared=True)
    update = team.conversations.update_for(SERVICE, CONTACT, conversation)
    await team.outbox.start_conversation(update)
    assert team.valkey.zscore(BUCKET.events, f"timer timer {SERVICE} {CONTACT}") is not None
    assert (await team.handle(), team.events) == ([TIMER], [])  # it has not expired

    team.valkey.hset(update.key, "expires_at", 1)
    assert await team.handle() == [TIMER]
    assert await team.handle() == [EVENT]
    assert await team.handle() == []
    (event,) = team.events
    assert (event.kind, event.contact, event.step, event.state) == ("expired", CONTACT, "day", {"people": 2})
    assert team.valkey.hget(update.key, "state") is None

    await team.outbox.start_conversation(update)
    team.valkey.hdel(update.key, "state", "expires_at")  # the contact has gone on
    assert (await team.handle(), await team.handle(), len(team.events)) == ([TIMER], [], 1)


async def test_nothing_is_stored_where_no_handler_takes_events(team: Team) -> None:
    team.contacts.events = EventRecorder()
    await team.contacts.change_consent(SERVICE, CONTACT, STOP)
    await team.receipts.handle(receipt(MessageStatus.DELIVERED))
    await team.contacts.raise_event("reaction", SERVICE, CONTACT, "SM1")
    assert team.valkey.exists(BUCKET.events) == 0
