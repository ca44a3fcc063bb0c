"""Replies to one contact are counted, in Redis for all workers and in memory without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from sms_router.routing.inbox import loop_guard
from sms_router.routing.inbox.answer import Answer, JournalEntry, MessageKey, Outcome
from sms_router.routing.inbox.inbox import Claimed
from sms_router.routing.inbox.loop_guard import LimitExceeded, LoopGuard, ReplyCounter
from tests.routing.workers import Worker, worker

CONTACT, SCOPE = "+14155550100", "MG1"
THREE_A_MINUTE = LoopGuard(3, 60)


class Clock:
    """A clock that a test drives."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("moments", "held_back"),
    [
        ((0, 1, 2), ()),
        ((0, 1, 2, 3, 4), ((3, 1), (4, 2))),
        ((0, 30, 60, 90, 120), ()),
        ((0, 1, 2, 61), ()),
        ((0, 1, 2, 3, 62, 121), ((3, 1), (62, 2), (121, 3))),
        ((0, 1, 2, 3, 63), ((3, 1),)),
    ],
    ids=["few", "many", "slow", "after the window", "never quiet", "quiet at last"],
)
def test_replies_above_the_limit_are_held_back_until_a_pause(
    moments: tuple[float, ...], held_back: tuple[tuple[float, int], ...]
) -> None:
    clock = Clock()
    guard = LoopGuard(3, 60, clock)
    result = []
    for moment in moments:
        clock.now = 1000.0 + moment
        exceeded = guard.count_locally(SCOPE, CONTACT)
        if exceeded is not None:
            result.append((moment, exceeded.excess))
    assert tuple(result) == held_back


def test_contacts_and_services_are_counted_apart_and_a_bounded_number_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop_guard, "MAX_LOCAL_COUNTS", 2)
    guard = LoopGuard(1, 60, Clock())
    assert guard.count_locally("MG1", "+1") is None
    assert guard.count_locally("MG2", "+1") is None
    assert guard.count_locally("MG1", "+1") == LimitExceeded(1)
    assert guard.count_locally("MG3", "+1") is None
    assert guard.count_locally("MG2", "+1") is None, "the oldest count is forgotten"


def test_without_a_limit_nothing_is_counted() -> None:
    assert LoopGuard(0, 60).counter_for(SCOPE, CONTACT, b"<Response>hello</Response>") is None


@given(st.lists(st.floats(0, 100), max_size=40), st.integers(1, 5))
def test_never_more_than_the_limit_without_a_pause(pauses: list[float], replies: int) -> None:
    clock = Clock()
    guard = LoopGuard(replies, 10, clock)
    run = 0
    for pause in pauses:
        clock.now += pause
        run = 0 if pause >= 10 else run
        run += 1
        excess = guard.count_locally(SCOPE, CONTACT)
        assert excess is None or (pause < 10 and run > replies)


# --- in the step that stores the answer ---


@pytest.fixture
async def workers(valkey_url: str, tmp_path: Path) -> AsyncIterator[list[Worker]]:
    async with worker(valkey_url, tmp_path / "a") as one, worker(valkey_url, tmp_path / "b") as other:
        yield [one, other]


def counter() -> ReplyCounter:
    result = THREE_A_MINUTE.counter_for(SCOPE, CONTACT, b"<Response>hello</Response>")
    assert result is not None
    return result


async def reply(one: Worker, number: int, counted: ReplyCounter | None) -> Answer | LimitExceeded:
    key = MessageKey(f"AC1/SM{number}", CONTACT)
    claimed = await one.inbox.claim(key, b"request", fallback=False)
    assert isinstance(claimed, Claimed)
    answer = Answer(b"<Response>hello</Response>", Outcome.REPLY)
    result = await one.inbox.commit(key, b"request", claimed, answer, JournalEntry("rule"), counter=counted)
    if isinstance(result, LimitExceeded):
        silence = Answer(b"<Response/>", Outcome.MUTED)
        assert await one.inbox.commit(key, b"request", claimed, silence, JournalEntry("rule")) == silence
    return result


async def test_all_workers_count_together_and_a_reply_above_the_limit_is_not_stored(
    workers: list[Worker],
) -> None:
    result = [await reply(workers[number % 2], number, counter()) for number in range(6)]
    assert [each for each in result if isinstance(each, LimitExceeded)] == [
        LimitExceeded(1),
        LimitExceeded(2),
        LimitExceeded(3),
    ]
    assert all(isinstance(each, Answer) for each in result[:3])
    again = await workers[0].inbox.claim(MessageKey("AC1/SM5", CONTACT), b"request", fallback=False)
    assert again == Answer(b"<Response/>", Outcome.MUTED)


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
        assert result == Answer(b"<Response>hello</Response>", Outcome.REPLY)
    assert valkey.exists(counter().key) == 0


async def test_late_replies_are_counted_too(workers: list[Worker]) -> None:
    counts = [await workers[number % 2].inbox.count_reply(counter()) for number in range(4)]
    assert counts == [None, None, None, LimitExceeded(1)]
    assert await reply(workers[0], 0, counter()) == LimitExceeded(2)


async def test_a_reply_whose_record_was_lost_is_counted_once(
    workers: list[Worker], valkey: redis.Redis
) -> None:
    key = MessageKey("AC1/SM0", CONTACT)
    claimed = await workers[0].inbox.claim(key, b"request", fallback=False)
    assert isinstance(claimed, Claimed)
    valkey.flushdb()
    answer = Answer(b"<Response>hello</Response>", Outcome.REPLY)
    await workers[0].inbox.commit(key, b"request", claimed, answer, JournalEntry("rule"), counter=counter())
    assert valkey.get(counter().key) == b"1"


async def test_the_count_lasts_for_the_window_and_longer_without_a_pause(
    workers: list[Worker], valkey: redis.Redis
) -> None:
    await reply(workers[0], 0, counter())
    assert 0 < int(str(valkey.pttl(counter().key))) <= 60_000
    for number, goes_on in ((1, False), (2, False), (3, True), (4, True)):
        valkey.pexpire(counter().key, 30_000)
        await reply(workers[0], number, counter())
        assert (int(str(valkey.pttl(counter().key))) > 30_000) is goes_on
    valkey.delete(counter().key)  # as it is after a quiet minute
    assert isinstance(await reply(workers[0], 5, counter()), Answer)


@pytest.mark.parametrize("later", [False, True])
async def test_a_window_from_before_redis_clock_was_set_back_is_shortened(
    workers: list[Worker], valkey: redis.Redis, later: bool
) -> None:
    one = workers[0]
    await one.inbox.count_reply(counter())
    valkey.pexpire(counter().key, 3_660_000)
    await (one.inbox.count_reply(counter()) if later else reply(one, 1, counter()))
    assert valkey.get(counter().key) == b"2"
    assert 0 < int(str(valkey.pttl(counter().key))) <= 60_000
