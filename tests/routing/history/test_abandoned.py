"""A message that was claimed and that nobody answers is a dead letter, until somebody answers it."""

from __future__ import annotations

from typing import cast

import pytest
import redis

from sms_router.routing.history.abandoned import AbandonedMessages
from sms_router.routing.inbox.answer import Answer, JournalEntry, MessageKey, Outcome
from sms_router.routing.inbox.inbox import Claimed
from sms_router.store.keys import bucket_of
from tests.routing.messages import ACCOUNT, CONTACT
from tests.routing.workers import Worker

BUCKET = bucket_of(CONTACT)
KEY = MessageKey(f"{ACCOUNT}/SM" + "0a" * 16, CONTACT)
RECORD = BUCKET.message(KEY.reference)
ANSWER = Answer(b"<Response/>", Outcome.SILENT)


def dead_letters(valkey: redis.Redis) -> list[tuple[bytes, bytes]]:
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", valkey.xrange(BUCKET.dead_letters))
    return [(fields[b"message"], fields[b"cause"]) for _, fields in entries]


async def claim(one: Worker) -> Claimed:
    claimed = await one.inbox.claim(KEY, b"From=%2B1", fallback=False)
    assert isinstance(claimed, Claimed)
    return claimed


@pytest.fixture
def abandoned(one: Worker) -> AbandonedMessages:
    """Counts a message as abandoned as soon as its lease is over."""
    return AbandonedMessages(one.store, 1.0, after=0.0)


async def test_a_message_is_abandoned_once_its_lease_is_over(
    one: Worker, valkey: redis.Redis, abandoned: AbandonedMessages
) -> None:
    one.inbox.let_go(await claim(one))
    assert await abandoned.sweep() == []
    valkey.hset(RECORD, "lease_until", 1)
    assert await abandoned.sweep() == [KEY.reference]
    cause = b"abandoned: the worker that claimed it was lost, and nobody answered it"
    assert dead_letters(valkey) == [(KEY.reference.encode(), cause)]
    assert await abandoned.sweep() == []
    assert len(dead_letters(valkey)) == 1


async def test_it_is_not_before_a_minute_has_passed(one: Worker, valkey: redis.Redis) -> None:
    one.inbox.let_go(await claim(one))
    valkey.hset(RECORD, "lease_until", 1)
    assert await AbandonedMessages(one.store, 1.0).sweep() == []


async def test_an_answered_message_is_not_abandoned(
    one: Worker, valkey: redis.Redis, abandoned: AbandonedMessages
) -> None:
    await one.inbox.commit(KEY, b"From=%2B1", await claim(one), ANSWER, JournalEntry("HOURS"))
    valkey.hset(RECORD, "lease_until", 1)
    assert await abandoned.sweep() == []


async def test_a_released_message_has_its_own_dead_letter(
    one: Worker, valkey: redis.Redis, abandoned: AbandonedMessages
) -> None:
    await one.inbox.release(KEY, b"From=%2B1", await claim(one), JournalEntry("HOURS", "it failed"))
    assert await abandoned.sweep() == []
    assert dead_letters(valkey) == [(KEY.reference.encode(), b"it failed")]


async def test_an_answer_that_comes_later_deletes_the_dead_letter(
    one: Worker, valkey: redis.Redis, abandoned: AbandonedMessages
) -> None:
    claimed = await claim(one)
    valkey.hset(RECORD, "lease_until", 1)
    assert await abandoned.sweep() == [KEY.reference]
    await one.inbox.commit(KEY, b"From=%2B1", claimed, ANSWER, JournalEntry("HOURS"))
    assert dead_letters(valkey) == []
    assert await abandoned.sweep() == []
