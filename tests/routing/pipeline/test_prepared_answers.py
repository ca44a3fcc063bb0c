"""A message with a prepared answer is claimed and answered in one step, or claimed like any other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
import redis

from sms_router.routing.inbox.answer import Answer, JournalEntry, MessageKey, Outcome
from sms_router.routing.inbox.inbox import Claimed, InProgress, PreparedAnswer
from sms_router.routing.inbox.loop_guard import ReplyCounter
from sms_router.store.keys import bucket_of
from tests.routing.workers import Worker, worker

SCOPE, CONTACT = "MG1", "+14155550100"
BUCKET = bucket_of(CONTACT)
REQUEST = b"From=%2B14155550100"
ANSWER = Answer(b"<Response><Message>9 to 5</Message></Response>", Outcome.REPLY)
TRAIL_TEXT = "HOURS\nthe short code"
COUNTER = BUCKET.reply_count(SCOPE, CONTACT)
PREPARED = PreparedAnswer(ANSWER, TRAIL_TEXT, ReplyCounter(COUNTER, b"2", b"60000", b"1", b""), None)


def key(number: int = 1) -> MessageKey:
    return MessageKey(f"AC1/SM{number}", CONTACT)


def record(client: redis.Redis, of: MessageKey) -> dict[bytes, bytes]:
    return cast("dict[bytes, bytes]", client.hgetall(BUCKET.message(of.reference)))


@pytest.fixture
def commands() -> list[str]:
    return []


@pytest.fixture
async def one(valkey_url: str, tmp_path: Path, commands: list[str]) -> AsyncIterator[Worker]:
    async with worker(valkey_url, tmp_path, observe=lambda name, _: commands.append(name)) as one:
        yield one


async def test_it_takes_one_command_and_stores_what_two_would_have_stored(
    one: Worker, valkey: redis.Redis, commands: list[str]
) -> None:
    assert await one.inbox.claim(key(1), REQUEST, False, SCOPE, prepared=PREPARED) is ANSWER
    assert len(commands) == 1
    claimed = await one.inbox.claim(key(2), REQUEST, False, SCOPE)
    assert isinstance(claimed, Claimed)
    await one.inbox.commit(
        key(2), REQUEST, claimed, ANSWER, JournalEntry(TRAIL_TEXT), counter=PREPARED.counter
    )

    at_once, in_two = record(valkey, key(1)), record(valkey, key(2))
    assert at_once.keys() == in_two.keys()
    times = {b"received", b"answered"}
    assert int(at_once[b"received"]) <= int(at_once[b"answered"])
    assert {name: at_once[name] for name in at_once.keys() - times} == {
        name: in_two[name] for name in in_two.keys() - times
    }
    assert valkey.xlen(BUCKET.journal) == 2
    assert valkey.get(COUNTER) == b"2 "
    for each in (BUCKET.message(key(1).reference), BUCKET.journal, COUNTER):
        assert valkey.pttl(each) > 0


async def test_every_request_gets_that_answer(one: Worker, other: Worker) -> None:
    await one.inbox.claim(key(), REQUEST, False, SCOPE, prepared=PREPARED)
    another = PreparedAnswer(Answer(b"<Response/>", Outcome.SILENT), TRAIL_TEXT, None, None)
    for fallback in (False, True):
        assert await other.inbox.claim(key(), REQUEST, fallback, SCOPE, prepared=another) == ANSWER
    assert one.inbox.cached_answer(key()) is ANSWER


@pytest.fixture
async def other(valkey_url: str, tmp_path: Path) -> AsyncIterator[Worker]:
    async with worker(valkey_url, tmp_path / "other") as other:
        yield other


async def test_a_claim_returns_what_is_stored_of_the_contact(one: Worker, valkey: redis.Redis) -> None:
    valkey.hset(BUCKET.contact(SCOPE, CONTACT), "opted_out", 1)
    result = await one.inbox.claim(key(), REQUEST, False, SCOPE, prepared=PREPARED)
    assert isinstance(result, Claimed)
    assert list(result.contact or ()) == [b"opted_out", b"1"]
    assert b"answer" not in record(valkey, key())
    assert not valkey.exists(COUNTER), "a reply that is not sent does not count"


async def test_a_reply_above_the_limit_is_claimed_and_not_counted(one: Worker, valkey: redis.Redis) -> None:
    for number in (1, 2):
        assert await one.inbox.claim(key(number), REQUEST, False, SCOPE, prepared=PREPARED) is ANSWER
    assert isinstance(await one.inbox.claim(key(3), REQUEST, False, SCOPE, prepared=PREPARED), Claimed)
    assert valkey.get(COUNTER) == b"2 ", "it is counted with its commit"


async def test_without_a_limit_nothing_is_counted(one: Worker, valkey: redis.Redis) -> None:
    ready = PREPARED._replace(counter=None)
    assert await one.inbox.claim(key(), REQUEST, False, SCOPE, prepared=ready) is ANSWER
    assert not valkey.exists(COUNTER)


async def test_a_message_that_another_worker_has_claimed_is_in_progress(one: Worker, other: Worker) -> None:
    assert isinstance(await other.inbox.claim(key(), REQUEST, False, SCOPE), Claimed)
    assert isinstance(await one.inbox.claim(key(), REQUEST, False, SCOPE, prepared=PREPARED), InProgress)


async def test_an_expired_claim_is_taken_over_and_not_answered_at_once(
    one: Worker, valkey: redis.Redis
) -> None:
    first = await one.inbox.claim(key(), REQUEST, False, SCOPE)
    assert isinstance(first, Claimed)
    one.inbox.let_go(first)
    valkey.hset(BUCKET.message(key().reference), "lease_until", 0)
    result = await one.inbox.claim(key(), REQUEST, False, SCOPE, prepared=PREPARED)
    assert isinstance(result, Claimed)
    assert result.attempt == 2
