"""The loop guard: how replies to one person are counted, together and alone."""

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

PERSON, SCOPE = "+14155550100", "MG1"
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
def test_what_is_too_many_is_held_back_until_the_person_is_quiet(
    moments: tuple[float, ...], held_back: tuple[tuple[float, int], ...]
) -> None:
    clock = Clock()
    guard = LoopGuard(3, 60, clock)
    found = []
    for moment in moments:
        clock.now = 1000.0 + moment
        excess = guard.count_locally(SCOPE, PERSON)
        if excess is not None:
            found.append((moment, excess.excess))
    assert tuple(found) == held_back


def test_people_and_services_are_counted_apart_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_guard, "MAX_LOCAL_COUNTS", 2)
    guard = LoopGuard(1, 60, Clock())
    assert guard.count_locally("MG1", "+1") is None
    assert guard.count_locally("MG2", "+1") is None
    assert guard.count_locally("MG1", "+1") == LimitExceeded(1)
    assert guard.count_locally("MG3", "+1") is None
    assert guard.count_locally("MG2", "+1") is None, "the oldest count is forgotten"


def test_nobody_counts_where_the_guard_is_off() -> None:
    assert LoopGuard(0, 60).counter_for(SCOPE, PERSON, b"<Response>hello</Response>") is None


@given(st.lists(st.floats(0, 100), max_size=40), st.integers(1, 5))
def test_never_more_than_the_pace_in_a_row_without_a_pause(pauses: list[float], replies: int) -> None:
    clock = Clock()
    guard = LoopGuard(replies, 10, clock)
    run = 0
    for pause in pauses:
        clock.now += pause
        run = 0 if pause >= 10 else run
        run += 1
        excess = guard.count_locally(SCOPE, PERSON)
        assert excess is None or (pause < 10 and run > replies)


# --- in the step that stores the answer ---


@pytest.fixture
async def workers(valkey_url: str, tmp_path: Path) -> AsyncIterator[list[Worker]]:
    async with worker(valkey_url, tmp_path / "a") as one, worker(valkey_url, tmp_path / "b") as other:
        yield [one, other]


def counter() -> ReplyCounter:
    found = THREE_A_MINUTE.counter_for(SCOPE, PERSON, b"<Response>hello</Response>")
    assert found is not None
    return found


async def reply(one: Worker, number: int, counted: ReplyCounter | None) -> Answer | LimitExceeded:
    key = MessageKey(f"AC1/SM{number}", PERSON)
    claimed = await one.records.claim(key, b"request", fallback=False)
    assert isinstance(claimed, Claimed)
    answer = Answer(b"<Response>hello</Response>", Outcome.REPLY)
    found = await one.records.commit(key, b"request", claimed, answer, JournalEntry("rule"), counter=counted)
    if isinstance(found, LimitExceeded):
        silence = Answer(b"<Response/>", Outcome.MUTED)
        assert await one.records.commit(key, b"request", claimed, silence, JournalEntry("rule")) == silence
    return found


async def test_all_workers_count_together_and_what_is_too_many_is_not_stored(workers: list[Worker]) -> None:
    found = [await reply(workers[number % 2], number, counter()) for number in range(6)]
    assert [each for each in found if isinstance(each, LimitExceeded)] == [
        LimitExceeded(1),
        LimitExceeded(2),
        LimitExceeded(3),
    ]
    assert all(isinstance(each, Answer) for each in found[:3])
    again = await workers[0].records.claim(MessageKey("AC1/SM5", PERSON), b"request", fallback=False)
    assert again == Answer(b"<Response/>", Outcome.MUTED)


async def test_a_reply_that_is_adopted_or_not_metered_does_not_count(
    workers: list[Worker], valkey: redis.Redis
) -> None:
    for number in range(5):
        await reply(workers[0], number, None)
    assert valkey.exists(counter().key) == 0
    key = MessageKey("AC1/SM0", PERSON)
    answer = Answer(b"<Response>second</Response>", Outcome.REPLY)
    for _ in range(5):
        found = await workers[1].records.commit(
            key, b"request", Claimed(1, 0.0, stored=True), answer, JournalEntry("rule"), counter=counter()
        )
        assert found == Answer(b"<Response>hello</Response>", Outcome.REPLY)
    assert valkey.exists(counter().key) == 0


async def test_what_leaves_later_counts_too(workers: list[Worker]) -> None:
    counts = [await workers[number % 2].records.count_reply(counter()) for number in range(4)]
    assert counts == [None, None, None, LimitExceeded(1)]
    assert await reply(workers[0], 0, counter()) == LimitExceeded(2)


async def test_a_reply_whose_record_was_lost_counts_once(workers: list[Worker], valkey: redis.Redis) -> None:
    key = MessageKey("AC1/SM0", PERSON)
    claimed = await workers[0].records.claim(key, b"request", fallback=False)
    assert isinstance(claimed, Claimed)
    valkey.flushdb()
    answer = Answer(b"<Response>hello</Response>", Outcome.REPLY)
    await workers[0].records.commit(key, b"request", claimed, answer, JournalEntry("rule"), counter=counter())
    assert valkey.get(counter().key) == b"1"


async def test_the_count_lasts_for_the_window_and_longer_while_the_person_is_not_quiet(
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
async def test_a_window_from_before_redis_clock_was_set_back_is_no_longer_than_any(
    workers: list[Worker], valkey: redis.Redis, later: bool
) -> None:
    one = workers[0]
    await one.records.count_reply(counter())
    valkey.pexpire(counter().key, 3_660_000)
    await (one.records.count_reply(counter()) if later else reply(one, 1, counter()))
    assert valkey.get(counter().key) == b"2"
    assert 0 < int(str(valkey.pttl(counter().key))) <= 60_000
