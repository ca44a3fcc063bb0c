"""``senders``: phone numbers, toll-free numbers, short codes and alphanumeric senders reported apart."""

from __future__ import annotations

import json

import pytest
import redis

from sms_router.membership import audit_log as journal
from tests.cli.sandbox_cli import CODE, NEW_YORK, SERVICE, SPARE, SandboxCli


def listed(twilio: SandboxCli, *words: str) -> list[tuple[str, str]]:
    shown = json.loads(twilio("senders", "list", "--json", *words).out)
    return [(each["number"], each["kind"]) for each in shown]


def test_every_kind_is_listed(twilio: SandboxCli) -> None:
    twilio("senders", "add", "ACME")
    assert listed(twilio) == [
        ("12345", "short code"),
        ("+14155550100", "long code"),
        ("+12125550100", "long code"),
        ("+18885550100", "toll-free number"),
        ("+16475550100", "long code"),
        ("ACME", "alphanumeric sender"),
    ]
    result = twilio("senders", "list")
    assert "US toll-free" in result.out
    assert f"US long code    SMS+MMS   {NEW_YORK}" in result.out
    assert max(map(len, result.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--kind", "toll-free"], ["+18885550100"]),
        (["--kind", "long-code"], ["+14155550100", "+12125550100", "+16475550100"]),
        (["--kind", "short-code", "--all"], ["12345", "67890"]),
        (["--kind", "alphanumeric"], []),
        (["--number", "+1*155"], ["+14155550100"]),
        (["--friendly-name", "New York"], ["+12125550100"]),
    ],
)
def test_the_list_is_filtered_by_kind_and_by_twilio(
    twilio: SandboxCli, words: list[str], expected: list[str]
) -> None:
    assert [number for number, _ in listed(twilio, *words)] == expected


@pytest.mark.parametrize("named", [NEW_YORK, "+12125550100"])
def test_a_phone_number_is_removed_and_added(twilio: SandboxCli, named: str) -> None:
    result = twilio("senders", "remove", named)
    assert result.code == 2
    assert "Its texts then go to http://127.0.0.1:8001/new-york." in result.err
    assert twilio("senders", "remove", named, "--yes").code == 0
    assert "+12125550100" not in twilio("senders").out
    assert json.loads(twilio("senders", "show", named, "--json").out)["service"] is None
    result = twilio("senders", "add", named)
    assert "Its own URL http://127.0.0.1:8001/new-york is not called while it is in a Service" in result.out
    assert "+12125550100" in twilio("senders").out


def test_an_alphanumeric_sender_is_added_shown_and_removed(twilio: SandboxCli) -> None:
    added = json.loads(twilio("senders", "add", "ACME", "--json").out)
    assert (added["kind"], added["sends"], added["country"]) == ("alphanumeric sender", "SMS", None)
    for named in ("ACME", added["sid"]):
        assert json.loads(twilio("senders", "show", named, "--json").out) == added
    assert twilio("senders", "update", "ACME", "--friendly-name", "x").code == 2
    assert "error 21710" in twilio("senders", "add", "ACME").err
    assert "error 21709" in twilio("senders", "add", "MORE THAN ELEVEN").err
    assert twilio("senders", "remove", "ACME", "--yes").code == 0
    assert twilio("senders", "show", "ACME").code == 1
    assert twilio("senders", "show", added["sid"]).code == 1


def test_a_phone_number_is_updated(twilio: SandboxCli) -> None:
    result = twilio("senders", "update", NEW_YORK, "--sms-url", "", "--friendly-name", "NYC", "--json")
    assert result.code == 0
    shown = json.loads(result.out)
    assert (shown["sms_url"], shown["friendly_name"], shown["service"]) == (None, "NYC", SERVICE)


def test_an_empty_service_shows_the_commands(twilio: SandboxCli) -> None:
    for sender in json.loads(twilio("senders", "--json").out):
        assert twilio("senders", "remove", sender["sid"], "--yes").code == 0
    assert json.loads(twilio("senders", "--json").out) == []
    assert "None. List those of the account: sms-router senders list --all" in twilio("senders").out


def test_short_codes_are_senders_too(twilio: SandboxCli) -> None:
    assert twilio("senders", "add", SPARE.sid).code == 0
    assert json.loads(twilio("senders", "show", CODE, "--json").out)["number"] == "12345"


def test_a_change_without_a_response_is_recorded_as_unknown_and_read_again(
    twilio: SandboxCli, valkey: redis.Redis
) -> None:
    twilio("membership", "refresh")
    twilio.fault(kind="status", status=500, path="AlphaSenders", after=True, count=1)
    result = twilio("senders", "add", "ACME")
    assert result.code == 1
    assert "error 20500" in result.err
    assert "The change may have been made" in result.err
    (change,) = journal.recent(valkey, 10)
    assert (change.action, change.outcome) == ("add", journal.AuditOutcome.UNKNOWN)
    assert "ACME" in twilio("senders").out
