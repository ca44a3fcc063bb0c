"""A text that is nobody's work is claimed, journaled and answered in one step, or opened like any other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
import redis

from sms_router.routing.inbox.answer import Answer, JournalEntry, MessageKey, Outcome
from sms_router.routing.inbox.inbox import Claimed, InProgress, PreparedAnswer
from sms_router.routing.inbox.loop_guard import RateLimit, ReplyCounter
from sms_router.store.keys import bucket_of
from tests.routing.workers import Worker, worker

SCOPE, PERSON = "MG1", "+14155550100"
BUCKET = bucket_of(PERSON)
REQUEST = b"From=%2B14155550100"
ANSWER = Answer(b"<Response><Message>9 to 5</Message></Response>", Outcome.REPLY)
STORY = "HOURS\nthe short code"
COUNTER = BUCKET.reply_count(SCOPE, PERSON)
READY = PreparedAnswer(ANSWER, STORY, ReplyCounter(COUNTER, RateLimit(2, 60_000)), None)


def key(number: int = 1) -> MessageKey:
    return MessageKey(f"AC1/SM{number}", PERSON)


def record(client: redis.Redis, of: MessageKey) -> dict[bytes, bytes]:
    return cast("dict[bytes, bytes]", client.hgetall(BUCKET.message(of.reference)))


@pytest.fixture
def steps() -> list[str]:
    return []


@pytest.fixture
async def one(valkey_url: str, tmp_path: Path, steps: list[str]) -> AsyncIterator[Worker]:
    async with worker(valkey_url, tmp_path, observe=lambda step, _: steps.append(step)) as one:
        yield one


async def test_it_takes_one_trip_and_leaves_what_two_would_have_left(
    one: Worker, valkey: redis.Redis, steps: list[str]
) -> None:
    assert await one.records.claim(key(1), REQUEST, False, SCOPE, prepared=READY) is ANSWER
    assert len(steps) == 1
    claimed = await one.records.claim(key(2), REQUEST, False, SCOPE)
    assert isinstance(claimed, Claimed)
    await one.records.commit(key(2), REQUEST, claimed, ANSWER, JournalEntry(STORY), counter=READY.counter)

    at_once, in_two = record(valkey, key(1)), record(valkey, key(2))
    assert at_once.keys() == in_two.keys()
    times = {b"received", b"answered"}
    assert {at_once[name] for name in times} == {at_once[b"received"]}
    assert {name: at_once[name] for name in at_once.keys() - times} == {
        name: in_two[name] for name in in_two.keys() - times
    }
    assert valkey.xlen(BUCKET.journal) == 2
    assert valkey.get(COUNTER) == b"2"
    for each in (BUCKET.message(key(1).reference), BUCKET.journal, COUNTER):
        assert valkey.pttl(each) > 0


async def test_everybody_who_asks_gets_that_answer(one: Worker, other: Worker) -> None:
    await one.records.claim(key(), REQUEST, False, SCOPE, prepared=READY)
    another = PreparedAnswer(Answer(b"<Response/>", Outcome.SILENT), STORY, None, None)
    for fallback in (False, True):
        assert await other.records.claim(key(), REQUEST, fallback, SCOPE, prepared=another) == ANSWER
    assert one.records.cached_answer(key()) is ANSWER


@pytest.fixture
async def other(valkey_url: str, tmp_path: Path) -> AsyncIterator[Worker]:
    async with worker(valkey_url, tmp_path / "other") as other:
        yield other


async def test_whoever_is_known_is_answered_by_what_is_known(one: Worker, valkey: redis.Redis) -> None:
    valkey.hset(BUCKET.contact(SCOPE, PERSON), "opted_out", 1)
    opening = await one.records.claim(key(), REQUEST, False, SCOPE, prepared=READY)
    assert isinstance(opening, Claimed)
    assert list(opening.contact or ()) == [b"opted_out", b"1"]
    assert b"answer" not in record(valkey, key())
    assert not valkey.exists(COUNTER), "what is not said does not count"


async def test_a_reply_too_many_is_left_to_the_loop_guard(one: Worker, valkey: redis.Redis) -> None:
    for number in (1, 2):
        assert await one.records.claim(key(number), REQUEST, False, SCOPE, prepared=READY) is ANSWER
    assert isinstance(await one.records.claim(key(3), REQUEST, False, SCOPE, prepared=READY), Claimed)
    assert valkey.get(COUNTER) == b"2", "it is counted with its commit"


async def test_what_nobody_counts_has_no_counter(one: Worker, valkey: redis.Redis) -> None:
    ready = READY._replace(counter=None)
    assert await one.records.claim(key(), REQUEST, False, SCOPE, prepared=ready) is ANSWER
    assert not valkey.exists(COUNTER)


async def test_somebody_elses_work_is_waited_for(one: Worker, other: Worker) -> None:
    assert isinstance(await other.records.claim(key(), REQUEST, False, SCOPE), Claimed)
    assert isinstance(await one.records.claim(key(), REQUEST, False, SCOPE, prepared=READY), InProgress)


async def test_a_claim_that_was_lost_is_taken_over_and_not_answered_at_once(
    one: Worker, valkey: redis.Redis
) -> None:
    await one.records.claim(key(), REQUEST, False, SCOPE)
    valkey.hset(BUCKET.message(key().reference), "lease_until", 0)
    opening = await one.records.claim(key(), REQUEST, False, SCOPE, prepared=READY)
    assert isinstance(opening, Claimed)
    assert opening.attempt == 2
