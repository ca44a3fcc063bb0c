from __future__ import annotations

import pytest

from sms_router.routing.inbox import answer_cache as remembered
from sms_router.routing.inbox.answer import Answer, Outcome
from sms_router.routing.inbox.answer_cache import LARGEST_REMEMBERED, AnswerCache

ANSWER = Answer(b"<Response><Message>9 to 5</Message></Response>", Outcome.REPLY)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST_REMEMBERED", 10)
    known = AnswerCache()
    for number in range(25):
        known.keep(f"AC1/SM{number}", ANSWER)
        known.release(f"AC1/SM{number}")
    kept = list(range(15, 25))
    assert [number for number in range(25) if known.answer(f"AC1/SM{number}") is ANSWER] == kept
    assert [number for number in range(25) if known.was_released(f"AC1/SM{number}")] == kept


def test_large_answers_are_not_kept() -> None:
    known = AnswerCache()
    largest, larger = (Answer(b"x" * size, Outcome.REPLY) for size in (LARGEST_REMEMBERED, 4097))
    assert known.keep("AC1/SM1", largest) is known.answer("AC1/SM1") is largest
    assert known.keep("AC1/SM2", larger) is larger
    assert known.answer("AC1/SM2") is None
