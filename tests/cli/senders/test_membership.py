"""``membership``: show, refresh, diff, history."""

from __future__ import annotations

import json

import pytest

from sms_router.membership.audit_log import current_operator
from tests.cli.sandbox_cli import CODE, NEW_YORK, SERVICE, SPARE, SandboxCli


def test_refresh_reports_changes(twilio: SandboxCli) -> None:
    assert "5 senders" in twilio("membership", "refresh").out
    assert "for the first time" not in twilio("membership", "refresh").out
    twilio.service.phone_numbers(NEW_YORK).delete()
    (reported,) = json.loads(twilio("membership", "refresh", "--json").out)
    assert (reported["service"], reported["senders"]) == (SERVICE, 4)
    assert reported["changes"] == [
        {
            "of": f"+12125550100 ({NEW_YORK})",
            "what": "the long code",
            "was": "in the Service",
            "is": "not in the Service",
        }
    ]
    assert "unchanged" in twilio("membership", "refresh", "--service", SERVICE).out


def test_diff_compares_the_stored_pool_with_twilio(twilio: SandboxCli) -> None:
    result = twilio("membership", "diff")
    assert (result.code, result.err.splitlines()[-1]) == (1, "sms-router membership refresh")
    twilio("membership", "refresh")
    assert twilio("membership", "diff").code == 0
    twilio.service.update(fallback_url="https://b.example.com/")
    twilio.service.short_codes.create(short_code_sid=SPARE.sid)
    for _ in range(2):
        result = twilio("membership", "diff", "--json")
        assert result.code == 1
        assert [(each["what"], each["is"]) for each in json.loads(result.out)] == [
            ("fallback url", "https://b.example.com/"),
            ("the short code", "in the Service"),
        ]
    assert "not in the" in twilio("membership", "diff").out


def test_show_has_version_and_age(twilio: SandboxCli) -> None:
    twilio("membership", "refresh")
    (reported,) = json.loads(twilio("membership", "show", "--json").out)
    assert reported["service"] == SERVICE
    assert reported["version"] > 1_600_000_000_000
    assert 0 <= reported["age"] < 3600


def test_an_unset_value_is_null_in_json_and_none_in_text(twilio: SandboxCli) -> None:
    twilio.service.update(fallback_url="")
    twilio("membership", "refresh")
    (reported,) = json.loads(twilio("membership", "show", "--json").out)
    assert reported["fallback_url"] is None
    assert "none" in twilio("membership", "show").out


def test_history_lists_changes(twilio: SandboxCli) -> None:
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
    result = twilio("membership", "history", "--limit", "1")
    assert "add short code 12345" in result.out
    assert "remove" not in result.out
    assert max(map(len, result.out.splitlines())) <= 80


@pytest.mark.parametrize("words", [["refresh"], ["diff"]])
def test_an_error_of_twilio_is_one_sentence(twilio: SandboxCli, words: list[str]) -> None:
    twilio("membership", "refresh")
    twilio.fault(kind="status", status=429)
    result = twilio("membership", *words)
    assert (result.code, result.out) == (1, "")
    assert "error 20429: too many concurrent requests" in result.err
    assert twilio("membership", "show").code == 0


def test_refresh_without_a_service_is_an_error(twilio: SandboxCli) -> None:
    result = twilio("membership", "refresh", TWILIO_MESSAGING_SERVICE_SID="")
    assert result.code == 1
    assert "export TWILIO_MESSAGING_SERVICE_SID=MG..." in result.err
