"""A claimed message without an answer is handled again, and is a dead letter in the end."""

from __future__ import annotations

from typing import cast

import pytest
import redis

from sms_router.routing.history.abandoned_messages import AbandonedMessages
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


async def fail(_: bytes) -> None:
    """Leave the message without an answer."""


@pytest.fixture
def abandoned(one: Worker) -> AbandonedMessages:
    """Counts a message as abandoned as soon as its lease is over; it is too old to be answered again."""
    return AbandonedMessages(one.store, fail, 1.0, -1.0, after=0.0)


async def test_a_message_is_answered_again_and_a_later_one_of_its_bucket_too(
    one: Worker, valkey: redis.Redis
) -> None:
    claimed, requests = await claim(one), list[bytes]()

    async def answer(request: bytes) -> None:
        requests.append(request)
        await one.inbox.commit(KEY, request, claimed, ANSWER, JournalEntry("HOURS"))

    valkey.hset(RECORD, "lease_until", 1)
    abandoned = AbandonedMessages(one.store, answer, 1.0, 60.0, after=0.0)
    assert [await abandoned.sweep() for _ in range(2)] == [[], []]
    assert (requests, dead_letters(valkey)) == ([b"From=%2B1"], [])
    valkey.hset(BUCKET.message("AC/later"), mapping={"request": "From=%2B1", "received": 2**41})
    valkey.xadd(BUCKET.journal, {"message": "AC/later"})
    await abandoned.sweep()
    assert len(requests) == 2


async def test_a_message_that_is_not_answered_is_a_dead_letter(one: Worker, valkey: redis.Redis) -> None:
    one.inbox.let_go(await claim(one))
    abandoned = AbandonedMessages(one.store, fail, 1.0, 60.0, after=0.0)
    assert await abandoned.sweep() == []
    valkey.hset(RECORD, "lease_until", 1)
    assert [await abandoned.sweep() for _ in range(4)] == [[], [], [], [KEY.reference]]
    cause = b"abandoned: the worker that claimed it was lost, and it has no answer"
    assert dead_letters(valkey) == [(KEY.reference.encode(), cause)]
    assert await abandoned.sweep() == []
    assert len(dead_letters(valkey)) == 1


async def test_it_is_not_before_a_minute_has_passed(one: Worker, valkey: redis.Redis) -> None:
    one.inbox.let_go(await claim(one))
    valkey.hset(RECORD, "lease_until", 1)
    assert await AbandonedMessages(one.store, fail, 1.0, -1.0).sweep() == []


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
