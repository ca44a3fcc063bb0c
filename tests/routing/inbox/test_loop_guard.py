"""Replies to one contact are counted, in Redis for all workers and in the memory of each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from sms_router.routing.inbox import contact_turns, inbox, loop_guard
from sms_router.routing.inbox.answer import Answer, JournalEntry, MessageKey, Outcome
from sms_router.routing.inbox.inbox import Claimed, PreparedAnswer
from sms_router.routing.inbox.loop_guard import LimitExceeded, LoopGuard, ReplyCounter
from sms_router.twilio.twiml import EMPTY
from tests.routing.workers import Worker, worker

CONTACT, SCOPE = "+14155550100", "MG1"
FIRST, LATER = LimitExceeded(is_first=True), LimitExceeded(is_first=False)
HELLO = Answer(b"<Response>hello</Response>", Outcome.REPLY)


def counter(body: str = "", weight: int = 1, replies: int = 3, scope: str = SCOPE) -> ReplyCounter:
    result = LoopGuard(replies, 60).counter_for(scope, CONTACT, body, HELLO.document, weight)
    assert result is not None
    return result


@pytest.mark.parametrize(
    ("moments", "held_back"),
    [
        ((0, 1, 2), ()),
        ((0, 1, 2, 3, 4), (3, 4)),
        ((0, 60, 120, 180), ()),
        ((0, 30, 60, 90, 120), (90, 120)),
        ((0, 1, 2, 3, 62, 121), (3, 62, 121)),
        ((0, 1, 2, 3, 63), (3,)),
    ],
    ids=["few", "many", "slow", "never quiet", "held back and never quiet", "quiet at last"],
)
def test_replies_above_the_limit_are_held_back_until_a_quiet_gap(
    moments: tuple[float, ...], held_back: tuple[float, ...]
) -> None:
    guard = LoopGuard(3, 60)
    results = {moment: guard.count(counter(), 1000.0 + moment) for moment in moments}
    assert tuple(moment for moment, result in results.items() if result is not None) == held_back
    assert [result for result in results.values() if result is not None][:2] == [FIRST, LATER][
        : len(held_back)
    ]


@pytest.mark.parametrize(
    ("texts", "weight", "answered"),
    [
        (["hello"], 1, 11),
        (["hello"], 3, 10),
        (["hello", "you"], 3, 10),
        (["hello", "you"], 1, 30),
        ([""], 1, 30),
    ],
    ids=[
        "one text again and again",
        "it has no rule",
        "texts without a rule",
        "texts with a rule",
        "pictures",
    ],
)
def test_a_repeated_text_and_the_default_reach_the_limit_sooner(
    texts: list[str], weight: int, answered: int
) -> None:
    guard = LoopGuard(30, 30)
    results = [
        guard.count(counter(texts[number % len(texts)], weight, replies=30), 1000.0 + 2.2 * number)
        for number in range(65)
    ]
    assert results.count(None) == answered
    assert results[answered] == FIRST


def test_what_redis_does_not_count_is_within_the_share_of_the_worker() -> None:
    guard = LoopGuard(30, 30, workers=2)
    uncounted = counter(replies=30)
    assert [guard.count(uncounted, 0.0, is_stored=False) for _ in range(17)] == [*[None] * 15, FIRST, LATER]
    assert guard.count(uncounted, 1.0) == LATER, "also when Redis counts again"

    guard = LoopGuard(30, 30, workers=2)
    results = []
    for _ in range(17):
        guard.count(uncounted, 0.0)
        results.append(guard.exceeds_share(uncounted))
    assert results == [*[None] * 15, FIRST, FIRST]


def test_contacts_and_services_are_counted_apart_and_a_bounded_number_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop_guard, "MAX_LOCAL_COUNTS", 2)
    guard = LoopGuard(1, 60)
    one, two, three = (counter(replies=1, scope=f"MG{number}") for number in (1, 2, 3))
    results = [guard.count(each, 1000.0) for each in (one, two, one, three, one)]
    assert results == [None, None, FIRST, None, None], "the oldest count is deleted"


def test_without_a_limit_nothing_is_counted() -> None:
    assert LoopGuard(0, 60).counter_for(SCOPE, CONTACT, "hello", HELLO.document) is None
    assert LoopGuard(3, 60).counter_for(SCOPE, CONTACT, "hello", EMPTY) is None, "nothing is sent"


@given(st.lists(st.floats(0, 100), max_size=40), st.integers(1, 5))
def test_never_more_than_the_limit_without_a_quiet_gap(pauses: list[float], replies: int) -> None:
    guard, now, run = LoopGuard(replies, 60), 1000.0, 0
    for pause in pauses:
        now += pause
        run = 1 if pause >= 60 else run + 1
        assert (guard.count(counter(replies=replies), now) is not None) is (run > replies)


# --- in the step that stores the answer ---


@pytest.fixture
async def workers(valkey_url: str, tmp_path: Path) -> AsyncIterator[list[Worker]]:
    async with worker(valkey_url, tmp_path / "a") as one, worker(valkey_url, tmp_path / "b") as other:
        yield [one, other]


async def reply(one: Worker, number: int, counted: ReplyCounter | None) -> LimitExceeded | None:
    key = MessageKey(f"AC1/SM{number}", CONTACT)
    claimed = await one.inbox.claim(key, b"request", fallback=False)
    assert isinstance(claimed, Claimed)
    result = await one.inbox.commit(key, b"request", claimed, HELLO, JournalEntry("rule"), counter=counted)
    if not isinstance(result, LimitExceeded):
        assert result == HELLO
        return None
    silence = Answer(b"<Response/>", Outcome.MUTED)
    muted = await one.inbox.commit(key, b"request", claimed, silence, JournalEntry("rule"), counter=counted)
    assert muted == silence
    return result


async def test_all_workers_count_together_and_a_reply_above_the_limit_is_not_stored(
    workers: list[Worker],
) -> None:
    results = [await reply(workers[number % 2], number, counter()) for number in range(6)]
    assert results == [None, None, None, FIRST, LATER, LATER]
    again = await workers[0].inbox.claim(MessageKey("AC1/SM5", CONTACT), b"request", fallback=False)
    assert again == Answer(b"<Response/>", Outcome.MUTED)


@pytest.mark.parametrize("seed", range(5))
async def test_redis_counts_as_a_worker_does(workers: list[Worker], seed: int) -> None:
    random, guard = Random(seed), LoopGuard(12, 60)
    for _ in range(20):
        counted = counter(random.choice(["", "a", "b"]), random.choice([1, 3]), replies=12)
        assert await workers[0].inbox.count_reply(counted) == guard.count(counted, 1000.0)


async def test_two_thousand_texts_at_once_get_at_most_the_limit(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "STORE_BUDGET", 0.0)  # no time is left for the commits
    monkeypatch.setattr(contact_turns, "MAX_TURN_WAIT", 60.0)
    counted = counter(replies=30)

    async def prepared(number: int) -> bool:
        answer = PreparedAnswer(HELLO, "rule", counted, None)
        key = MessageKey(f"AC1/SM{number}", CONTACT)
        result = await workers[number % 2].inbox.claim(key, b"request", False, SCOPE, prepared=answer)
        return result == HELLO

    async def committed(number: int) -> bool:
        return await reply(workers[number % 2], number, counted) is None

    results = await asyncio.gather(
        *(prepared(number) if number % 3 else committed(number) for number in range(2000))
    )
    assert sum(results) == 30


async def test_a_reply_that_lost_or_has_no_counter_is_not_counted(
    workers: list[Worker], valkey: redis.Redis
) -> None:
    for number in range(5):
        await reply(workers[0], number, None)
    assert valkey.exists(counter().key) == 0
    key = MessageKey("AC1/SM0", CONTACT)
    answer = Answer(b"<Response>second</Response>", Outcome.REPLY)
    for _ in range(5):
        result = await workers[1].inbox.commit(
            key, b"request", Claimed(1, 0.0, stored=True), answer, JournalEntry("rule"), counter=counter()
        )
        assert result == HELLO
    assert valkey.exists(counter().key) == 0


async def test_late_replies_are_counted_too(workers: list[Worker]) -> None:
    counts = [await workers[number % 2].inbox.count_reply(counter()) for number in range(4)]
    assert counts == [None, None, None, FIRST]
    assert await reply(workers[0], 0, counter()) == LATER


async def test_a_reply_whose_record_was_lost_is_counted_once(
    workers: list[Worker], valkey: redis.Redis
) -> None:
    key = MessageKey("AC1/SM0", CONTACT)
    claimed = await workers[0].inbox.claim(key, b"request", fallback=False)
    assert isinstance(claimed, Claimed)
    valkey.flushdb()
    await workers[0].inbox.commit(key, b"request", claimed, HELLO, JournalEntry("rule"), counter=counter())
    assert valkey.get(counter().key) == b"1 "


async def test_the_quiet_gap_begins_anew_with_each_text(workers: list[Worker], valkey: redis.Redis) -> None:
    for number in range(5):
        await reply(workers[0], number, counter())
        assert 30_000 < int(str(valkey.pttl(counter().key))) <= 60_000
        valkey.pexpire(counter().key, 30_000)
    valkey.pexpire(counter().key, 3_660_000)  # as after Redis' clock was set back by an hour
    assert await reply(workers[0], 5, counter()) == LATER
    assert int(str(valkey.pttl(counter().key))) <= 60_000
    valkey.delete(counter().key)  # as it is after a quiet minute
    assert await reply(workers[0], 6, counter()) is None
