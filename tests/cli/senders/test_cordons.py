"""``senders cordon`` and ``release``: a sender is out of use on every router, with the reason and the end."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from sms_router.cli.senders.cordons import parse_end
from tests.cli.sandbox_cli import CODE, NEW_YORK, SandboxCli

CONTACT = "+14155550123"
NOON = datetime(2026, 1, 9, 12, tzinfo=UTC).timestamp()


def answering(twilio: SandboxCli, *words: str) -> tuple[str, dict[str, str]]:
    shown = json.loads(twilio("explain", CONTACT, "HOURS", "--json", *words).out)
    return shown["sender"], {line["sender"]: line["reason"] for line in shown["trail"]}


@pytest.mark.parametrize("named", [CODE, "12345"])
def test_a_short_code_is_cordoned_listed_explained_and_released(twilio: SandboxCli, named: str) -> None:
    result = twilio("senders", "cordon", named, "--reason", "carrier\nincident", "--for", "2h")
    assert result.code == 0
    assert f"12345 ({CODE}) is cordoned until " in result.out
    assert "UTC: carrier incident" in result.out
    listed = twilio("senders").out
    assert "state" in listed
    assert "carrier" in listed
    (reported,) = [each for each in json.loads(twilio("senders", "--json").out) if each["number"] == "12345"]
    assert reported["cordoned"]["reason"] == "carrier incident"
    assert reported["cordoned"]["since"] < reported["cordoned"]["until"]
    sender, reasons = answering(twilio)
    assert sender == "+14155550100"
    assert reasons["12345"].startswith("cordoned until ")
    assert reasons["12345"].endswith(" UTC: carrier incident")
    assert answering(twilio, "--as-of", "+3h")[0] == "12345"
    assert answering(twilio, "--as-of", "-1h")[0] == "12345"

    assert "is in use again" in twilio("senders", "release", named).out
    assert answering(twilio)[0] == "12345"
    assert "state" not in twilio("senders").out
    result = twilio("senders", "release", named)
    assert (result.code, result.err.splitlines()[0]) == (1, f"{named} is not cordoned.")
    history = twilio("membership", "history").out
    assert "release 12345" in history
    assert "cordon 12345" in history


def test_a_cordon_without_an_end_holds_until_it_is_released(twilio: SandboxCli) -> None:
    result = twilio("senders", "cordon", "+1 (212) 555-0100", "--reason", "lease")
    assert "is cordoned until it is released: lease" in result.out
    assert f"sms-router senders release {NEW_YORK}" in result.out
    shown = json.loads(twilio("senders", "cordon", NEW_YORK, "--reason", "port", "--json").out)
    assert (shown["number"], shown["cordoned"]["reason"], shown["cordoned"]["until"]) == (
        "+12125550100",
        "port",
        None,
    )
    assert twilio("senders", "release", "+12125550100").code == 0


def test_cordons_need_no_twilio(twilio: SandboxCli) -> None:
    twilio("membership", "refresh")
    twilio.fault(kind="status", status=503)
    assert twilio("senders", "cordon", "12345", "--reason", "incident").code == 0
    assert answering(twilio)[0] == "+14155550100"
    assert twilio("senders", "release", "12345").code == 0


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["12345"], 2, "--reason"),
        (["12345", "--reason", " "], 2, "1 to 200 characters"),
        (["12345", "--reason", "x", "--for", "soon"], 2, "30m, 2h or 3d"),
        (["12345", "--reason", "x", "--for", "0m"], 2, "30m, 2h or 3d"),
        (["12345", "--reason", "x", "--until", "noonish"], 2, "like 14:05 or 2026-03-01T12:00"),
        (["12345", "--reason", "x", "--until", "2020-01-01"], 2, "has passed"),
        (["12345", "--reason", "x", "--until", "9999-12-31T23:59:59-12:00"], 2, "must be a time"),
        (["12345", "--reason", "x", "--until", "0001-01-01T00:00:00+12:00"], 2, "must be a time"),
        (["12345", "--reason", "x", "--for", "1h", "--until", "14:05"], 2, "give either --for or --until"),
        (["99999", "--reason", "x"], 1, "has a sender 99999"),
    ],
)
def test_wrong_usage_changes_nothing(twilio: SandboxCli, words: list[str], code: int, error: str) -> None:
    result = twilio("senders", "cordon", *words)
    assert result.code == code
    assert error in " ".join(result.err.replace("│", " ").split())
    assert "state" not in twilio("senders").out


@pytest.mark.parametrize(
    ("span", "until", "end"),
    [
        (None, None, None),
        ("90m", None, NOON + 5400),
        ("3d", None, NOON + 3 * 86_400),
        (None, "14:05", NOON + 7500),
        (None, "12:00", NOON + 86_400),
        (None, "9:30", NOON + 77_400),
        (None, "2026-01-09T15:00:00+02:00", NOON + 3600),
        (None, "2026-01-09T13:00", NOON + 3600),
    ],
)
def test_the_end_is_a_duration_or_a_time(span: str | None, until: str | None, end: float | None) -> None:
    assert parse_end(span, until, NOON) == end
