"""``senders``: phone numbers, toll-free numbers, short codes and alphanumeric senders told apart."""

from __future__ import annotations

import json

import pytest
import redis

from sms_router.membership import audit_log as journal
from tests.cli.twilio_side import CODE, NEW_YORK, SERVICE, SPARE, TwilioSide


def listed(twilio: TwilioSide, *words: str) -> list[tuple[str, str]]:
    told = json.loads(twilio("senders", "list", "--json", *words).out)
    return [(each["number"], each["kind"]) for each in told]


def test_every_kind_is_told_apart(twilio: TwilioSide) -> None:
    twilio("senders", "add", "ACME")
    assert listed(twilio) == [
        ("12345", "short code"),
        ("+14155550100", "long code"),
        ("+12125550100", "long code"),
        ("+18885550100", "toll-free number"),
        ("+16475550100", "long code"),
        ("ACME", "alphanumeric sender"),
    ]
    spoken = twilio("senders", "list")
    assert "US toll-free" in spoken.out
    assert f"US long code    SMS+MMS   {NEW_YORK}" in spoken.out
    assert max(map(len, spoken.out.splitlines())) <= 80


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
def test_the_list_is_narrowed_by_kind_and_by_twilios_filters(
    twilio: TwilioSide, words: list[str], expected: list[str]
) -> None:
    assert [number for number, _ in listed(twilio, *words)] == expected


@pytest.mark.parametrize("named", [NEW_YORK, "+12125550100"])
def test_a_phone_number_leaves_and_comes_back(twilio: TwilioSide, named: str) -> None:
    spoken = twilio("senders", "remove", named)
    assert spoken.code == 2
    assert "Its texts then go to http://127.0.0.1:8001/new-york." in spoken.err
    assert twilio("senders", "remove", named, "--yes").code == 0
    assert "+12125550100" not in twilio("senders").out
    assert json.loads(twilio("senders", "show", named, "--json").out)["service"] is None
    spoken = twilio("senders", "add", named)
    assert "Its own URL http://127.0.0.1:8001/new-york is not called while it is in a Service" in spoken.out
    assert "+12125550100" in twilio("senders").out


def test_an_alphanumeric_sender_is_added_shown_and_removed(twilio: TwilioSide) -> None:
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


def test_a_phone_number_is_updated(twilio: TwilioSide) -> None:
    spoken = twilio("senders", "update", NEW_YORK, "--sms-url", "", "--friendly-name", "NYC", "--json")
    assert spoken.code == 0
    told = json.loads(spoken.out)
    assert (told["sms_url"], told["friendly_name"], told["service"]) == (None, "NYC", SERVICE)


def test_an_empty_service_says_how_to_fill_it(twilio: TwilioSide) -> None:
    for sender in json.loads(twilio("senders", "--json").out):
        assert twilio("senders", "remove", sender["sid"], "--yes").code == 0
    assert json.loads(twilio("senders", "--json").out) == []
    assert "None. List those of the account: sms-router senders list --all" in twilio("senders").out


def test_short_codes_are_senders_too(twilio: TwilioSide) -> None:
    assert twilio("senders", "add", SPARE.sid).code == 0
    assert json.loads(twilio("senders", "show", CODE, "--json").out)["number"] == "12345"


def test_a_change_whose_answer_was_lost_is_journaled_as_unknown_and_read_again(
    twilio: TwilioSide, valkey: redis.Redis
) -> None:
    twilio("membership", "refresh")
    twilio.fault(kind="status", status=500, path="AlphaSenders", after=True, count=1)
    spoken = twilio("senders", "add", "ACME")
    assert spoken.code == 1
    assert "error 20500" in spoken.err
    assert "The change may have been made" in spoken.err
    (change,) = journal.recent(valkey, 10)
    assert (change.action, change.outcome) == ("add", journal.AuditOutcome.UNKNOWN)
    assert "ACME" in twilio("senders").out
