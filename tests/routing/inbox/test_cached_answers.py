"""The answers and releases that a worker caches."""

from __future__ import annotations

import pytest

from sms_router.routing.inbox import inbox
from sms_router.routing.inbox.answer import RELEASED, Answer, JournalEntry, MessageKey, Outcome
from sms_router.routing.inbox.inbox import Claimed
from tests.routing.workers import Worker

ANSWER = Answer(b"<Response><Message>9 to 5</Message></Response>", Outcome.REPLY)
UNSTORED = Claimed(1, 0.0, stored=False)
ENTRY = JournalEntry("HOURS")


def key(number: int) -> MessageKey:
    return MessageKey(f"AC1/SM{number}", "+14155550100")


async def test_the_newest_answers_and_releases_are_cached(
    one: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MAX_CACHED_ANSWERS", 10)
    for number in range(25):
        await one.inbox.commit(key(number), b"", UNSTORED, ANSWER, ENTRY)
        await one.inbox.release(key(100 + number), b"", UNSTORED, ENTRY)
    assert [number for number in range(25) if one.inbox.cached_answer(key(number)) is ANSWER] == [
        *range(15, 25)
    ]
    await one.store.aclose()
    claims = [await one.inbox.claim(key(100 + number), b"", fallback=False) for number in range(25)]
    assert [number for number, claim in enumerate(claims) if claim is RELEASED] == [*range(15, 25)]


@pytest.mark.parametrize(("size", "is_kept"), [(4096, True), (4097, False)])
async def test_large_answers_are_not_cached(one: Worker, size: int, is_kept: bool) -> None:
    answer = Answer(b"x" * size, Outcome.REPLY)
    assert await one.inbox.commit(key(1), b"", UNSTORED, answer, ENTRY) is answer
    assert (one.inbox.cached_answer(key(1)) is answer) is is_kept
