"""One message in a worker: what is stored of it, in how many commands, and what is sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import pytest
import redis

from sms_router import Reply
from sms_router.delivery.outbox import Outbox
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import RuleAction
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.handler import Handler
from sms_router.routing.inbox.answer import Answer, JournalEntry, MessageKey, Outcome
from sms_router.routing.inbox.inbox import Claimed, ClaimResult, Continuation, Inbox
from sms_router.routing.inbox.loop_guard import LoopGuard
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.rules import MatchKind, Rule, Scope
from sms_router.routing.keywords.templates import StaticReply
from sms_router.routing.opt_outs.evidence import read_ledger
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from sms_router.routing.pipeline.committer import AnswerCommitter
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.context import FallbackError, InboundRequest, ReplyPolicy
from sms_router.routing.pipeline.late_replies import LateReplies
from sms_router.routing.pipeline.pipeline import Pipeline
from sms_router.senders.error_table import ErrorTable
from sms_router.senders.models import Decision, ReplyFrom
from sms_router.senders.pool import Pool
from sms_router.store.keys import bucket_of
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.twiml import EMPTY
from tests.routing.messages import CONTACT, message
from tests.routing.workers import DAYS, STOP, RecordingSender, worker
from tests.senders.builders import pool, sender

LONG = 20
"""Seconds after which a test is taken to hang."""

BUCKET = bucket_of(CONTACT)
SID = "SM" + "0a" * 16
KEY = MessageKey("AC" + "0a" * 16 + "/" + SID, CONTACT)


class FaultyReply(StaticReply):
    """A template with an unexpected fault."""

    def reply(self, *_: object) -> Reply:
        raise RuntimeError("a fault")


class RecordingComposer(Composer):
    """Records what is counted as sent."""

    def __init__(self, senders: Pool) -> None:
        super().__init__(lambda *_: senders, {None: ReplyFrom.SHORT_CODE_FIRST}, "https://sms.example.com")
        self.confirmed: list[str | None] = []
        self.recorded: list[tuple[str, ...]] = []

    def confirm(self, message: InboundMessage, decision: Decision) -> None:
        self.confirmed.append(decision.address)
        super().confirm(message, decision)

    def record_sent(self, decision: Decision, texts: tuple[str, ...], *, has_media: bool) -> None:
        self.recorded.append(texts)
        super().record_sent(decision, texts, has_media=has_media)


class SlowHandler:
    """A handler that returns when the test allows it; counts how many run, and how many were cancelled."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.may_return = asyncio.Event()
        self.running = self.cancelled = 0

    async def __call__(self) -> str:
        self.started.set()
        self.running += 1
        try:
            await self.may_return.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return "done"


@dataclass(frozen=True, slots=True)
class PipelineFixture:
    pipeline: Pipeline
    inbox: Inbox
    composer: RecordingComposer
    slow: SlowHandler
    contacts: Contacts
    commands: list[str]
    outgoing: RecordingSender

    async def receive(
        self, body: str, sid: str = SID, fallback: FallbackError | None = None
    ) -> tuple[Outcome, bytes]:
        request = InboundRequest(
            replace(message(body), sid=sid), b"Body=" + body.encode(), fallback, time.monotonic()
        )
        answer = await self.pipeline.answer(request)
        return answer.outcome, answer.document


@pytest.fixture
def deadline() -> float:
    """Seconds; a test may parametrize it."""
    return 10.0


@pytest.fixture
def senders() -> Pool:
    """The sender pool; a test may parametrize it."""
    return pool(sender("12345"))


@pytest.fixture
async def fixture(
    valkey_url: str, tmp_path: Path, deadline: float, senders: Pool
) -> AsyncIterator[PipelineFixture]:
    commands: list[str] = []
    slow = SlowHandler()

    async def slow_handler() -> str:
        return await slow()

    async with worker(valkey_url, tmp_path, observe=lambda name, _: commands.append(name)) as one:
        composer, guard = RecordingComposer(senders), LoopGuard(0, 60)
        contacts = Contacts(one.store, one.journal, lambda *_: None, ErrorTable({}))
        actions: dict[str, RuleAction] = {
            "HOURS": StaticReply(Reply("9 to 5")),
            "JOIN": StaticReply(Reply("Welcome back.")),
            "FAULTY": FaultyReply(Reply()),
            "SLOW": Handler.of(slow_handler, HandlerEnvironment()),
        }
        rules: list[Rule[RuleAction]] = [
            Rule((word,), MatchKind.FIRST_WORD, Scope(), action, word, word, opts_in=word == "JOIN")
            for word, action in actions.items()
        ]
        dispatcher = Dispatcher(RuleTable.build(rules), opt_outs=load_opt_out_keywords())
        outbox = Outbox(one.store, one.journal, DAYS, 3600)
        policy = ReplyPolicy(
            deadline,
            uses_twilio_fallback=False,
            error_reply=Reply("Something went wrong."),
            fallback_reply=Reply("Try again."),
        )
        outgoing = RecordingSender()
        late_replies = LateReplies(
            one.inbox, contacts, dispatcher, composer, outbox, guard, policy.error_reply, outgoing
        )
        committer = AnswerCommitter(one.inbox, dispatcher, composer, late_replies, guard, Reply())
        pipeline = Pipeline(one.inbox, contacts, dispatcher, composer, committer, late_replies, guard, policy)
        yield PipelineFixture(pipeline, one.inbox, composer, slow, contacts, commands, outgoing)
        slow.may_return.set()
        await pipeline.aclose()


async def test_a_template_reply_to_an_unknown_contact_takes_one_command(fixture: PipelineFixture) -> None:
    outcome, document = await fixture.receive("HOURS")
    assert (outcome, b"9 to 5" in document) == (Outcome.REPLY, True)
    assert len(fixture.commands) == 1


@pytest.mark.parametrize("senders", [pool(sender("+12125550101"), sender("+12125550102"))])
async def test_a_prepared_reply_from_one_of_several_equal_senders_is_recorded_once(
    fixture: PipelineFixture,
) -> None:
    _, document = await fixture.receive("HOURS")
    (address,) = fixture.composer.confirmed
    assert f'from="{address}"'.encode() in document
    assert fixture.composer.recorded == [()]


async def test_to_a_known_contact_it_takes_two_and_counts_once(
    fixture: PipelineFixture, valkey: redis.Redis
) -> None:
    valkey.hset(BUCKET.contact("12345", CONTACT), "unreachable:+14155550100", "1:1")
    outcome, document = await fixture.receive("HOURS")
    assert (outcome, b"9 to 5" in document) == (Outcome.REPLY, True)
    assert len(fixture.commands) == 2
    assert (fixture.composer.confirmed, fixture.composer.recorded) == ([], [("9 to 5",)])


async def test_an_opt_out_that_is_recorded_slowly_is_answered_meanwhile(
    fixture: PipelineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_record, record = asyncio.Event(), fixture.contacts.change_consent

    async def record_slowly(*arguments: Any) -> None:
        await may_record.wait()
        await record(*arguments)

    monkeypatch.setattr(fixture.contacts, "change_consent", record_slowly)
    outcome, document = await fixture.receive("STOP")
    assert (outcome, document != EMPTY) == (Outcome.REPLY, True)
    assert (await fixture.contacts.get("12345", CONTACT)).opted_out is None
    may_record.set()
    await fixture.pipeline.aclose()
    assert (await fixture.contacts.get("12345", CONTACT)).opted_out is not None


async def test_a_keyword_that_opts_in_ends_an_opt_out_and_answers(fixture: PipelineFixture) -> None:
    await fixture.contacts.change_consent("12345", CONTACT, STOP)
    assert (await fixture.receive("HOURS", sid=f"SM{'a' * 32}"))[0] is Outcome.SILENT
    outcome, document = await fixture.receive("JOIN")
    assert (outcome, b"Welcome back." in document) == (Outcome.REPLY, True)
    stored = await fixture.contacts.get("12345", CONTACT)
    assert stored.opted_out is None or not stored.facts(ErrorTable({}), 2**50).opted_out
    assert (await fixture.receive("HOURS", sid=f"SM{'b' * 32}"))[0] is Outcome.REPLY


async def test_opt_outs_refused_replies_and_opt_ins_are_recorded_as_evidence(
    fixture: PipelineFixture, valkey: redis.Redis
) -> None:
    for number, body in enumerate(("STOP", "HOURS", "stop!", "JOIN", "HOURS")):
        await fixture.receive(body, sid=f"SM{number:032x}")
        await asyncio.sleep(0.002)  # the ledger has milliseconds
    entries = read_ledger(valkey, CONTACT)
    assert [(entry.event, entry.text, entry.message[-1]) for entry in entries] == [
        ("stop", "STOP", "0"),
        ("refused", "", "1"),
        ("stop", "stop!", "2"),
        ("start", "JOIN", "3"),
    ]
    assert (
        entries[0].answer
        == "You are unsubscribed and will get no more messages from us. Reply START to come back."
    )
    assert [entry.answer for entry in entries[1:]] == ["", "", ""]
    assert {entry.sender for entry in entries} == {"12345"}


async def test_an_unexpected_error_comes_after_the_message_is_journaled(
    fixture: PipelineFixture, valkey: redis.Redis
) -> None:
    outcome, document = await fixture.receive("FAULTY")
    assert (outcome, b"Something went wrong." in document) == (Outcome.FAILED, True)
    assert len(fixture.commands) == 1
    assert valkey.xlen(BUCKET.journal) == 1


def record(valkey: redis.Redis) -> dict[bytes, bytes]:
    return cast("dict[bytes, bytes]", valkey.hgetall(BUCKET.message(KEY.reference)))


async def answer_as_another_worker(
    fixture: PipelineFixture, outcome: Outcome, continuation: Continuation | None = None
) -> Answer:
    """Commit an empty answer to the message that the pipeline handles."""
    answer = Answer(EMPTY, outcome)
    claim = Claimed(0, 0.0, stored=True)
    committed = await fixture.inbox.commit(KEY, b"", claim, answer, JournalEntry("other"), continuation)
    assert committed == answer
    return answer


@pytest.mark.parametrize(("earlier", "has_room"), [(Outcome.LATE, True), (Outcome.FALLBACK, False)])
async def test_a_handlers_reply_after_an_answer_that_is_none_is_sent_late(
    fixture: PipelineFixture, valkey: redis.Redis, earlier: Outcome, has_room: bool
) -> None:
    """The worker sends it itself where it has capacity: no other worker leases it meanwhile."""
    fixture.outgoing.has_room = has_room
    entry = f"AC{'0a' * 16}/{SID} late 12345 {CONTACT}".encode()
    async with asyncio.timeout(LONG):
        answering = asyncio.create_task(fixture.receive("SLOW"))
        await fixture.slow.started.wait()
        await answer_as_another_worker(fixture, earlier, Continuation(entry, is_ours=False))
        assert valkey.zrange(BUCKET.outbox, 0, -1) == [entry]
        fixture.slow.may_return.set()
        assert await answering == (earlier, EMPTY)
    ((line, due),) = cast("list[tuple[bytes, float]]", valkey.zrange(BUCKET.outbox, 0, -1, withscores=True))
    assert line == entry.replace(b" late ", b" late.0 ")
    assert (due / 1000 > time.time() + 10) is has_room
    assert [entry.line for entry in fixture.outgoing.sent] == ([line] if has_room else [])
    stored = record(valkey)
    assert b">done<" in stored[b"late"]
    assert b"answered after the deadline" in stored[b"send:late.0"]


async def test_a_handlers_reply_after_anothers_reply_is_noted_and_not_sent(
    fixture: PipelineFixture, valkey: redis.Redis
) -> None:
    async with asyncio.timeout(LONG):
        answering = asyncio.create_task(fixture.receive("SLOW"))
        await fixture.slow.started.wait()
        await answer_as_another_worker(fixture, Outcome.REPLY)
        fixture.slow.may_return.set()
        assert await answering == (Outcome.REPLY, EMPTY)
    assert valkey.zcard(BUCKET.outbox) == 0
    assert record(valkey)[b"adopted"].startswith(b"SLOW\n12345: chosen")
    letters = cast("list[tuple[bytes, dict[bytes, bytes]]]", valkey.xrange(BUCKET.dead_letters))
    assert [letter[b"cause"] for _, letter in letters] == [b"answered after another request, not sent"]


@pytest.mark.parametrize("deadline", [0.0])
async def test_the_fallback_reply_after_an_empty_answer_is_not_sent(
    fixture: PipelineFixture, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker that gave the empty answer still runs the handler, whose reply comes late."""
    claim = fixture.inbox.claim
    await claim(KEY, b"Body=SLOW", fallback=False)

    async def claim_before_anothers_answer(*arguments: Any, **named: Any) -> ClaimResult:
        result = await claim(*arguments, **named)
        await answer_as_another_worker(fixture, Outcome.LATE)
        return result

    monkeypatch.setattr(fixture.inbox, "claim", claim_before_anothers_answer)
    fallback = FallbackError("11200", "https://sms.example.com/sms")
    assert await fixture.receive("SLOW", fallback=fallback) == (Outcome.LATE, EMPTY)
    assert valkey.zcard(BUCKET.outbox) == 0


@pytest.mark.parametrize(
    ("body", "outcome", "is_opted_out", "entries"),
    [("SLOW", Outcome.LATE, False, 1), ("HOURS", Outcome.LATE, False, 1), ("STOP", Outcome.SILENT, True, 0)],
)
async def test_a_message_without_a_waiting_request_is_handled_from_the_outbox_and_an_opt_out_counts(
    fixture: PipelineFixture,
    valkey: redis.Redis,
    body: str,
    outcome: Outcome,
    is_opted_out: bool,
    entries: int,
) -> None:
    account = KEY.reference.partition("/")[0]
    parameters = {"MessageSid": SID, "AccountSid": account, "From": CONTACT, "To": "12345", "Body": body}
    raw = urlencode(parameters).encode()
    claimed = await fixture.inbox.claim(KEY, raw, fallback=False)
    assert isinstance(claimed, Claimed)
    fixture.inbox.let_go(claimed)
    valkey.hset(BUCKET.message(KEY.reference), "lease_until", 1)
    await fixture.pipeline.resume(raw)
    assert record(valkey)[b"outcome"] == outcome.encode()
    assert fixture.contacts.is_opted_out_cached("12345", CONTACT) is is_opted_out
    assert valkey.zcard(BUCKET.outbox) == entries
    assert fixture.slow.running == 0


@pytest.mark.parametrize("deadline", [0.0])
async def test_a_thousand_handlers_go_on_after_the_deadline_and_one_more_is_handed_over(
    fixture: PipelineFixture, valkey: redis.Redis
) -> None:
    async with asyncio.timeout(LONG):
        for number in range(1001):
            sid = f"SM{number:032x}"
            assert await fixture.receive("SLOW", sid) == (Outcome.LATE, EMPTY)
        while not fixture.slow.cancelled:
            await asyncio.sleep(0.01)
    assert (fixture.slow.running, fixture.slow.cancelled) == (1000, 1)
