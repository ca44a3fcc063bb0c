"""One message on its way through a worker: what is stored of it, in how many steps, and what counts."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from sms_router import Reply
from sms_router.delivery.outbox import Outbox
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import RuleAnswer
from sms_router.routing.inbox.answer import Outcome
from sms_router.routing.inbox.loop_guard import LoopGuard
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.rules import MatchKind, Rule, Scope
from sms_router.routing.keywords.templates import ConfiguredReply, StaticReply
from sms_router.routing.pipeline.committer import AnswerCommitter
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.context import InboundRequest
from sms_router.routing.pipeline.late_replies import LateReplies
from sms_router.routing.pipeline.pipeline import Pipeline
from sms_router.routing.pipeline.policy import CannedReplies, OnFailure, ReplyPolicy
from sms_router.routing.pipeline.prepare import AnswerPreparer
from sms_router.senders.error_table import ErrorTable
from sms_router.senders.models import Decision, ReplyFrom
from sms_router.store.keys import bucket_of
from sms_router.twilio.inbound import InboundMessage
from tests.routing.messages import PERSON, message
from tests.routing.workers import DAYS, worker
from tests.senders.builders import pool, sender

HOURS = StaticReply(Reply("9 to 5"))
BUCKET = bucket_of(PERSON)


class Faulty(StaticReply):
    """An answer with a fault that nobody foresaw."""

    def reply(self, message: InboundMessage, argument: str, keyword: str) -> Reply:
        raise RuntimeError(f"{keyword} {argument} {message.sid}")


class Counting(Composer):
    """Counts what leaves."""

    def __init__(self) -> None:
        senders = pool(sender("12345"))
        super().__init__(lambda *_: senders, lambda _: ReplyFrom.SHORT_CODE_FIRST, "https://sms.example.com")
        self.counted: list[tuple[str, ...]] = []

    def count(self, decision: Decision, texts: tuple[str, ...], *, pictures: bool) -> None:
        self.counted.append(texts)
        super().count(decision, texts, pictures=pictures)


@dataclass(frozen=True, slots=True)
class Road:
    pipeline: Pipeline
    composer: Counting
    steps: list[str]

    async def text(self, words: str) -> tuple[Outcome, bytes]:
        delivery = InboundRequest(message(words), b"Body=" + words.encode(), None, time.monotonic())
        answer = await self.pipeline.answer(delivery)
        return answer.outcome, answer.document


@pytest.fixture
async def road(valkey_url: str, tmp_path: Path) -> AsyncIterator[Road]:
    steps: list[str] = []
    async with worker(valkey_url, tmp_path, observe=lambda step, _: steps.append(step)) as one:
        composer, guard = Counting(), LoopGuard(0, 60)
        people = Contacts(one.store, one.journal, lambda *_: None, ErrorTable({}))
        answers: dict[str, ConfiguredReply] = {"HOURS": HOURS, "FAULTY": Faulty(Reply())}
        rules: list[Rule[RuleAnswer]] = [
            Rule((word,), MatchKind.FIRST_WORD, Scope(), answer, word, word)
            for word, answer in answers.items()
        ]
        dispatcher = Dispatcher(RuleTable.build(rules))
        outbox = Outbox(one.store, one.journal, DAYS, 3600)
        texts = CannedReplies(Reply("Something went wrong."), Reply("Try again."))
        later = LateReplies(
            one.records, people, dispatcher, composer, outbox, guard, texts.error, lambda _: None
        )
        manners = ReplyPolicy(10.0, OnFailure.ERROR_REPLY)
        foresight = AnswerPreparer(people, dispatcher, composer, guard)
        closing = AnswerCommitter(one.records, dispatcher, composer, later, guard, texts.muted)
        pipeline = Pipeline(
            one.records, people, dispatcher, composer, later, foresight, closing, texts, manners
        )
        yield Road(pipeline, composer, steps)
        await pipeline.aclose()


async def test_a_written_answer_to_somebody_unknown_takes_one_step(road: Road, valkey: redis.Redis) -> None:
    outcome, document = await road.text("HOURS")
    assert (outcome, b"9 to 5" in document) == (Outcome.REPLY, True)
    assert road.steps == ["open_answering"]
    assert road.composer.counted == [("9 to 5",)]


async def test_to_somebody_known_it_takes_two_and_counts_once(road: Road, valkey: redis.Redis) -> None:
    valkey.hset(BUCKET.person("12345", PERSON), "unreachable:+14155550100", "1:1")
    outcome, document = await road.text("HOURS")
    assert (outcome, b"9 to 5" in document) == (Outcome.REPLY, True)
    assert road.steps == ["open_answering", "commit"]
    assert road.composer.counted == [("9 to 5",)]


async def test_what_nobody_foresaw_goes_wrong_after_the_message_is_journaled(
    road: Road, valkey: redis.Redis
) -> None:
    outcome, document = await road.text("FAULTY")
    assert (outcome, b"Something went wrong." in document) == (Outcome.FAILED, True)
    assert road.steps == ["open"]
    assert valkey.xlen(BUCKET.journal) == 1
