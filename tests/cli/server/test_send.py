"""What ``sms-router send`` prints of the router's answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sms_router.cli.server.send import describe_answer

NOON = datetime(2026, 1, 9, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"result": "sent", "sid": "SM1", "at": "2026-01-09T12:00:00+00:00"}, "Sent: SM1"),
        ({"result": "sent", "sid": "SM1", "at": "2026-01-09T15:00:00+00:00"}, "Waits until 2026-01-09 "),
        ({"result": "duplicate"}, "Duplicate."),
        ({"result": "opted_out"}, "Opted out."),
        ({"result": "refused", "reason": "no sender"}, "Refused: no sender"),
        ({"cancelled": True}, "Cancelled."),
        ({"cancelled": False}, "No message with this key waits."),
    ],
)
def test_the_answer_becomes_a_sentence(answer: dict[str, Any], sentence: str) -> None:
    shown = describe_answer(answer, NOON)
    assert shown.startswith(sentence)
    assert ("Cancel it: " in shown) is sentence.startswith("Waits")
