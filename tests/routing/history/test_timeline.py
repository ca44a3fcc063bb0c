"""The events of a message in the order of cause and effect."""

from __future__ import annotations

import json
from itertools import permutations

import pytest

from sms_router.routing.history.record import parse_record
from sms_router.routing.history.timeline import build_timeline

SID = "SM2"


@pytest.mark.parametrize("statuses", [*permutations(("queued", "sent", "delivered"))])
@pytest.mark.parametrize("response_at", [9, 10, 12], ids="the response is received {} ms later".format)
def test_a_message_is_sent_then_queued_then_delivered(response_at: int, statuses: tuple[str, ...]) -> None:
    attempt = {"state": "sent", "at": response_at, "sid": SID, "sender": "12345", "reason": "late"}
    fields = {
        b"received": b"9", b"late": b"<Response/>", b"late:at": b"9", b"late:trail": b"HOURS",
        b"send:late.0": json.dumps(attempt).encode(), f"sent:{SID}".encode(): b"SM1.late.0",
    }  # fmt: skip
    receipt = {b"status": b"delivered", **{f"at:{status}".encode(): b"10" for status in statuses}}
    events = build_timeline(parse_record("AC1/SM1", fields, {SID: receipt}, ()), reveal=True)
    assert [event.type.value for event in events[:3]] == ["received", "late answer", "by REST"]
    assert [event.lines[0].rpartition(": ")[2] for event in events[3:]] == ["queued", "sent", "delivered"]
