"""``messages forget``, beside a running router."""

from __future__ import annotations

import json

import requests

from tests.cli.conftest import Cli, Serving
from tests.waiting import wait_until_blocking

SOMEBODY = "+12065550123"


def texts(live: Cli, body: str) -> str:
    sid = json.loads(live("text", body, "--from", SOMEBODY, "--json").out)["sid"]
    assert isinstance(sid, str)
    return sid


def test_a_contact_is_deleted_after_a_confirmation(live: Cli) -> None:
    hours, boom = texts(live, "HOURS"), texts(live, "BOOM")
    unconfirmed = live("messages", "forget", SOMEBODY)
    assert unconfirmed.code == 2
    assert "2 messages" in unconfirmed.err
    assert "--yes" in unconfirmed.err
    assert live("messages", "show", hours).code == 0
    result = live("messages", "forget", "+1 (206) 555-0123", "--yes", "--json")
    assert result.code == 0
    shown = json.loads(result.out)
    assert (shown["number"], shown["in_work"]) == ("+1206•••0123", 0)
    assert shown["removed"]["messages"] == 2
    assert shown["removed"]["dead_letters"] == 1
    for sid in (hours, boom):
        assert live("messages", "show", sid).code == 1
    assert boom not in live("messages", "--failed").out
    again = live("messages", "forget", SOMEBODY, "--yes")
    assert (again.code, again.out) == (1, "")
    assert again.err.startswith("Nothing is stored about +1206•••0123.")


def test_an_opt_out_stays_without_the_option(live: Cli) -> None:
    texts(live, "STOP")
    result = live("messages", "forget", SOMEBODY, "--yes")
    assert "deleted: 1 message\n" in result.out
    expected = "kept:    1 entry of the opt-out list, 1 ledger of consent (--opt-out-too deletes it)"
    assert expected in result.out
    assert SOMEBODY in live("opt-outs", "list", "--reveal").out
    assert live("messages", "forget", SOMEBODY, "--yes").code == 1
    result = live("messages", "forget", SOMEBODY, "--yes", "--opt-out-too")
    deleted = "deleted: 1 entry of the opt-out list\ndeleted: 1 ledger of consent\nreceipt: "
    assert result.out.startswith(deleted)
    assert live("opt-outs", "show", SOMEBODY).code == 1
    assert SOMEBODY not in live("opt-outs", "list", "--reveal").out


def test_without_a_store_nothing_is_deleted(cli: Cli) -> None:
    result = cli("messages", "forget", SOMEBODY, "--yes")
    assert result.code == 1
    assert "Nothing is stored about +1206•••0123." in result.err


def test_messages_are_deleted_at_twilio_too_and_a_receipt_lists_them(live: Cli, serving: Serving) -> None:
    person = "+12065550177"
    sandbox = f"http://127.0.0.1:{serving.environment['SANDBOX_PORT']}/sandbox/phones/{person}"
    sent = requests.post(f"{sandbox}/messages", json={"to": "+14155550100", "body": "HOURS"}, timeout=10)
    assert sent.ok, sent.text
    wait_until_blocking(lambda: requests.get(sandbox, timeout=10).json()["messages"])
    assert live("messages", "forget", person, "--redact").code == 2
    result = live("messages", "forget", person, "--at-twilio", "--yes", "--json")
    assert result.code == 0
    shown = json.loads(result.out)
    assert shown["removed"]["messages"] == 1
    assert sum(shown["at_twilio"].values()) == 2, "the text and its reply"
    assert shown["at_twilio"].keys() <= {"deleted", "not final yet"}
    listed = live("messages", "erasures").out
    assert f"{shown['receipt']}  20" in listed
    assert "+1206•••0177" in listed
    assert person not in listed
    assert f"at Twilio: {shown['at_twilio']['deleted']} deleted" in listed
    one = json.loads(live("messages", "erasures", shown["receipt"], "--json").out)
    assert "deleted" in one[0]["results"].values()
    assert live("messages", "erasures", "nothing").code == 1
