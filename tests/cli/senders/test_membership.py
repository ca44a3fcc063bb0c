"""``membership``: show, refresh, diff, history."""

from __future__ import annotations

import json

import pytest

from sms_router.membership.audit_log import current_operator
from tests.cli.twilio_side import CODE, NEW_YORK, SERVICE, SPARE, TwilioSide


def test_refresh_says_what_is_new(twilio: TwilioSide) -> None:
    assert "5 senders" in twilio("membership", "refresh").out
    assert "for the first time" not in twilio("membership", "refresh").out
    twilio.service.phone_numbers(NEW_YORK).delete()
    (told,) = json.loads(twilio("membership", "refresh", "--json").out)
    assert (told["service"], told["senders"]) == (SERVICE, 4)
    assert told["changes"] == [
        {
            "of": f"+12125550100 ({NEW_YORK})",
            "what": "the long code",
            "was": "in the Service",
            "is": "not in the Service",
        }
    ]
    assert "unchanged" in twilio("membership", "refresh", "--service", SERVICE).out


def test_diff_compares_what_is_stored_with_twilio_now_and_changes_nothing(twilio: TwilioSide) -> None:
    spoken = twilio("membership", "diff")
    assert (spoken.code, spoken.err.splitlines()[-1]) == (1, "sms-router membership refresh")
    twilio("membership", "refresh")
    assert twilio("membership", "diff").code == 0
    twilio.service.update(fallback_url="https://b.example.com/")
    twilio.service.short_codes.create(short_code_sid=SPARE.sid)
    for _ in range(2):
        spoken = twilio("membership", "diff", "--json")
        assert spoken.code == 1
        assert [(each["what"], each["is"]) for each in json.loads(spoken.out)] == [
            ("fallback url", "https://b.example.com/"),
            ("the short code", "in the Service"),
        ]
    assert "not in the" in twilio("membership", "diff").out


def test_show_tells_version_and_age(twilio: TwilioSide) -> None:
    twilio("membership", "refresh")
    (told,) = json.loads(twilio("membership", "show", "--json").out)
    assert told["service"] == SERVICE
    assert told["version"] > 1_600_000_000_000
    assert 0 <= told["age"] < 3600


def test_what_is_not_set_is_null_for_programs_and_said_to_people(twilio: TwilioSide) -> None:
    twilio.service.update(fallback_url="")
    twilio("membership", "refresh")
    (told,) = json.loads(twilio("membership", "show", "--json").out)
    assert told["fallback_url"] is None
    assert "none" in twilio("membership", "show").out


def test_history_tells_who_has_changed_what(twilio: TwilioSide) -> None:
    assert "Nothing was changed with these commands yet." in twilio("membership", "history").out
    assert json.loads(twilio("membership", "history", "--json").out) == []
    twilio("short-codes", "remove", CODE, "--yes")
    twilio("short-codes", "add", CODE)
    newest, oldest = json.loads(twilio("membership", "history", "--json").out)
    assert {name: oldest[name] for name in ("who", "service", "action", "subject", "detail", "outcome")} == {
        "who": current_operator(),
        "service": SERVICE,
        "action": "remove",
        "subject": CODE,
        "detail": "short code 12345",
        "outcome": "done",
    }
    assert newest["action"] == "add"
    spoken = twilio("membership", "history", "--limit", "1")
    assert "add short code 12345" in spoken.out
    assert "remove" not in spoken.out
    assert max(map(len, spoken.out.splitlines())) <= 80


@pytest.mark.parametrize("words", [["refresh"], ["diff"]])
def test_what_twilio_refuses_is_one_sentence(twilio: TwilioSide, words: list[str]) -> None:
    twilio("membership", "refresh")
    twilio.fault(kind="status", status=429)
    spoken = twilio("membership", *words)
    assert (spoken.code, spoken.out) == (1, "")
    assert "error 20429: too many concurrent requests" in spoken.err
    assert twilio("membership", "show").code == 0


def test_without_a_service_there_is_nothing_to_refresh(twilio: TwilioSide) -> None:
    spoken = twilio("membership", "refresh", TWILIO_MESSAGING_SERVICE_SID="")
    assert spoken.code == 1
    assert "export TWILIO_MESSAGING_SERVICE_SID=MG..." in spoken.err
