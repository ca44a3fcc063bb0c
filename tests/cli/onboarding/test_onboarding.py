"""``sms-router onboarding``: numbers in onboarding, from the first document to the first reply."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import requests

from sms_router.cli.onboarding.actions import update_checklist
from sms_router.cli.output import CommandError
from sms_router.config.settings import load_settings
from sms_router.onboarding.checklist import Checklist
from sms_router.onboarding.process_choice import choose_path
from sms_router.store.keys import CHECKLISTS
from sms_router.store.redis_py import sync_client
from tests.cli.sandbox_cli import SERVICE, SandboxCli

CONTACT, PORTED = "+14155550123", "+14155550100"


def on_one_line(text: str) -> str:
    """Return the text of a table or a box on one line."""
    return " ".join(text.replace("│", " ").split())


def explained(twilio: SandboxCli, to: str) -> tuple[str, dict[str, str]]:
    shown = json.loads(twilio("explain", CONTACT, "HOURS", "--to", to, "--json").out)
    return shown["sender"], {line["sender"]: line["reason"] for line in shown["trail"]}


def state(twilio: SandboxCli, number: str) -> dict[str, object]:
    reported: dict[str, object] = json.loads(twilio("onboarding", "show", number, "--json").out)
    return reported


def test_a_number_is_recorded_skipped_and_used_once_it_is_live(twilio: SandboxCli) -> None:
    assert "No number is in onboarding" in twilio("onboarding").out
    added = twilio("onboarding", "add", "+1 415 555 0100", "--expected", "2099-12-01")
    assert added.code == 0
    assert "Next step: portability, by you" in added.out
    assert "2099-12-01" in twilio("onboarding").out
    result = twilio("onboarding", "show", PORTED).out
    assert "Do not close your account" in result
    assert "added: port-us" in result
    sender, reasons = explained(twilio, "+18885550100")
    assert sender == "12345"
    why = f"being ported in, expected 2099-12-01; see sms-router onboarding show {PORTED}"
    assert reasons[PORTED] == why
    assert why in on_one_line(twilio("senders", "--json").out)
    assert explained(twilio, PORTED)[1][PORTED] != why

    assert twilio("onboarding", "done", PORTED, "carrier").code == 0
    assert state(twilio, PORTED)["step"] == "configure"
    finished = twilio("onboarding", "done", PORTED, "live")
    assert "is live, on every router within a second." in finished.out
    assert explained(twilio, "+18885550100")[1][PORTED] != why
    assert json.loads(twilio("onboarding", "list", "--json").out) == []
    assert [each["live"] for each in json.loads(twilio("onboarding", "list", "--all", "--json").out)] == [
        True
    ]
    assert "done live" in on_one_line(twilio("membership", "history").out)


def test_a_short_code_that_moves_carrier_by_carrier_answers_its_texts(twilio: SandboxCli) -> None:
    assert twilio("onboarding", "add", "12345", "--kind", "short-code-migration").code == 0
    assert explained(twilio, "12345")[0] == "12345"
    sender, reasons = explained(twilio, "+12125550100")
    assert sender == "+14155550100"  # the area code of the person
    assert reasons["12345"].startswith("being migrated to Twilio carrier by carrier; see ")


def test_a_rejection_shows_its_remedies_and_is_resubmitted(twilio: SandboxCli) -> None:
    twilio("onboarding", "add", "+16475550100")
    result = twilio("onboarding", "reject", "+16475550100", "--reason", "PIN does not match")
    assert result.code == 0
    assert "Get the account's PIN" in result.out
    assert "rejected" in twilio("onboarding").out
    assert "Get the account's PIN" in twilio("onboarding", "show", "+16475550100").out
    assert state(twilio, "+16475550100")["who"] == "you"
    twilio("onboarding", "done", "+16475550100")
    assert state(twilio, "+16475550100")["rejected"] is None


def test_adding_a_number_of_a_service_is_reported(twilio: SandboxCli) -> None:
    twilio("membership", "refresh")
    added = twilio("onboarding", "add", PORTED)
    assert added.code == 0
    assert f"{PORTED} is in a Messaging Service already; the routers do not select it any more." in added.err
    assert f"sms-router onboarding drop {PORTED}" in added.err
    assert not twilio("onboarding", "add", "+13125550111").err


def test_notes_dates_and_requests_are_stored_and_a_checklist_is_deleted(twilio: SandboxCli) -> None:
    twilio("onboarding", "add", PORTED)
    sid = "KW" + "a" * 32
    for words in (["note", PORTED, "ask Ben"], ["expect", PORTED, "2099-01-02"], ["request", PORTED, sid]):
        assert twilio("onboarding", *words).code == 0
    shown = state(twilio, PORTED)
    assert (shown["expected"], shown["port_in_request"], shown["step"]) == (
        "2099-01-02",
        sid,
        "review",
    )
    assert "ask Ben" in twilio("onboarding", "show", PORTED).out
    assert twilio("onboarding", "drop", PORTED).code == 2
    assert twilio("onboarding", "drop", PORTED, "--yes").code == 0
    assert twilio("onboarding", "show", PORTED).code == 1
    assert twilio("onboarding", "drop", PORTED, "--yes").code == 1


@pytest.mark.parametrize(
    ("words", "code", "reported"),
    [
        (["add", "12345"], 2, "--kind short-code-lease"),
        (["add", "12345", "--kind", "port-us"], 2, "are migrated, not ported"),
        (["add", "+16475550100", "--kind", "port-us"], 2, "port-canada"),
        (["add", "+14155550100", "--expected", "2020-01-01"], 2, "has passed"),
        (["add", "+14155550100", "--expected", "soon"], 2, "like 2026-12-01"),
        (["add", "+14155550100", "--port-in", "KW1"], 2, "KW and 32 hex digits"),
        (["add", "+16475550100", "--port-in", "KW" + "a" * 32], 2, "--kind port-us only"),
        (["add", "+14155550100", "--service", "MG" + "9" * 32], 2, "not one of the configured"),
        (["add", "+12125550100"], 1, "is in onboarding already"),
        (["show", "+14155550100"], 1, "is not in onboarding"),
        (["done", "+14155550100"], 1, "is not in onboarding"),
        (["done", "+12125550100", "fly"], 2, "has no step fly"),
        (["done", "+12125550100", "request"], 1, "is already done"),
        (["expect", "+12125550100", "never"], 2, "like 2026-12-01"),
        (["note", "+12125550100", " "], 2, "1 to 200 characters"),
    ],
)
def test_wrong_usage_is_reported_with_a_remedy(
    twilio: SandboxCli, words: list[str], code: int, reported: str
) -> None:
    twilio("onboarding", "add", "+12125550100")
    twilio("onboarding", "done", "+12125550100", "request")
    before = twilio("onboarding", "list", "--json").out
    result = twilio("onboarding", *words)
    assert result.code == code
    assert reported in on_one_line(result.err)
    assert twilio("onboarding", "list", "--json").out == before


def test_a_checklist_as_json(twilio: SandboxCli) -> None:
    shown = json.loads(twilio("onboarding", "add", PORTED, "--json").out)
    assert shown == state(twilio, PORTED)
    assert shown["service"] == SERVICE
    assert [step["step"] for step in shown["steps"]][:2] == ["portability", "request"]
    assert shown["steps"][0]["state"] == "now"


def posted(twilio: SandboxCli, path: str, **body: object) -> dict[str, str]:
    answer = requests.post(f"{twilio.url}/sandbox/{path}", json=body, timeout=5)
    assert answer.ok, answer.text
    reported: dict[str, str] = answer.json() if answer.content else {}
    return reported


NEW = "+13125550111"


def test_refresh_follows_a_port(twilio: SandboxCli) -> None:
    assert "can be ported" in twilio("onboarding", "portable", NEW).out
    sid = posted(twilio, "ports", phone_numbers=[NEW])["port_in_request_sid"]
    assert twilio("onboarding", "add", NEW, "--port-in", sid).code == 0
    assert "No progress" in twilio("onboarding", "refresh").out

    posted(twilio, f"ports/{sid}", status="port_rejected", reason="The PIN is wrong")
    result = twilio("onboarding", "refresh")
    assert result.code == 0
    assert "rejected by the losing carrier: The PIN is wrong" in result.out
    assert "Get the account's PIN" in result.out

    posted(twilio, f"ports/{sid}", status="port_pending", port_date="2099-12-01")
    assert "expected: 2099-12-01" in twilio("onboarding", "refresh").out
    shown = state(twilio, NEW)
    assert (shown["step"], shown["expected"], shown["rejected"]) == ("configure", "2099-12-01", None)
    assert twilio("senders", "add", NEW).code == 0
    assert "No progress" in twilio("onboarding", "refresh").out
    assert twilio("senders", "update", NEW, "--voice-url", "https://a.example.com/voice").code == 0
    assert "configure" in twilio("onboarding", "refresh").out
    assert state(twilio, NEW)["step"] == "live"
    reasons = explained(twilio, "+18885550100")[1]
    assert reasons[NEW].startswith("being ported in, expected 2099-12-01")

    posted(twilio, f"ports/{sid}", status="completed")
    moved = json.loads(twilio("onboarding", "refresh", "--json").out)
    assert [each["live"] for each in moved["moved"]] == [True]
    assert not explained(twilio, "+18885550100")[1][NEW].startswith("being ported in")
    assert "No number is in onboarding" in twilio("onboarding", "refresh").out


@pytest.mark.parametrize(
    ("number", "code", "reported"),
    [
        (NEW, 0, "can be ported by Twilio's API"),
        ("+16135550111", 1, "Canadian number"),
        ("+18335550111", 1, "console's porting tool"),
        ("+447400123456", 1, "number outside the US and Canada"),
        ("12345", 2, "Short codes are migrated, not ported"),
    ],
)
def test_whether_a_number_can_be_ported(twilio: SandboxCli, number: str, code: int, reported: str) -> None:
    result = twilio("onboarding", "portable", number)
    assert result.code == code
    assert reported in on_one_line(result.out + result.err)


def test_a_required_pin_is_reported(twilio: SandboxCli) -> None:
    posted(twilio, f"portability/{NEW}", portable=True, pin_required=True)
    assert "its PIN, and the account number" in twilio("onboarding", "portable", NEW).out
    shown = json.loads(twilio("onboarding", "portable", NEW, "--json").out)
    assert shown == {
        "number": NEW,
        "portable": True,
        "pin_and_account_number_required": True,
        "reason": None,
        "type": "LOCAL",
        "country": "US",
        "kind": "port-us",
    }


def test_unreadable_requests_are_reported_and_others_refreshed(twilio: SandboxCli) -> None:
    sid = posted(twilio, "ports", phone_numbers=[NEW])["port_in_request_sid"]
    twilio("onboarding", "add", PORTED, "--port-in", "KW" + "9" * 32)
    twilio("onboarding", "add", "+12125550100", "--port-in", sid)
    twilio("onboarding", "add", NEW, "--port-in", sid)
    posted(twilio, f"ports/{sid}", status="completed")
    result = twilio("onboarding", "refresh")
    assert result.code == 1
    assert f"{NEW} is live" in result.out
    reported = on_one_line(result.err)
    assert f"{PORTED}: this account has no port-in request KW{'9' * 32}; " in reported
    assert f"+12125550100 is not part of the port-in request {sid}; " in reported
    for number in (PORTED, "+12125550100"):
        assert f"record the right one: sms-router onboarding request {number} KW..." in reported

    twilio.fault(kind="status", status=503)
    assert twilio("onboarding", "refresh").code == 1
    assert twilio("onboarding", "portable", NEW).code == 1
    assert twilio("onboarding").code == 0


def test_check_reports_a_number_missing_from_its_service(twilio: SandboxCli) -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    twilio("onboarding", "add", NEW, "--expected", tomorrow.isoformat())
    result = twilio("check")
    assert f"warning: {NEW} is expected on {tomorrow} and is not in the Service" in result.out
    assert f"sms-router senders add {NEW} --service {SERVICE}" in result.out
    twilio("onboarding", "reject", NEW, "--reason", "wrong zip")
    found = json.loads(twilio("check", "--json").out)["findings"]
    assert [each["remedy"] for each in found if "was rejected: wrong zip" in each["finding"]] == [
        f"sms-router onboarding show {NEW}"
    ]


def test_check_completes_the_step_of_a_number_that_is_configured(twilio: SandboxCli) -> None:
    twilio("onboarding", "add", PORTED)
    twilio("check")
    assert state(twilio, PORTED)["steps"][5]["state"] == "next"  # type: ignore[index]
    twilio("onboarding", "no-calls", PORTED)
    twilio("check")
    assert state(twilio, PORTED)["steps"][5]["state"] == "done"  # type: ignore[index]
    assert "configure (it is in the Messaging Service, and it takes no calls)" in on_one_line(
        twilio("onboarding", "show", PORTED).out
    )


def test_rejected_and_late_numbers_are_listed_first(twilio: SandboxCli) -> None:
    for number, day in ((PORTED, "2099-03-01"), ("+12125550100", "2099-02-01"), (NEW, "2099-04-01")):
        twilio("onboarding", "add", number, "--expected", day)
    twilio("onboarding", "reject", NEW, "--reason", "PIN")
    listed = twilio("onboarding").out
    assert listed.index(NEW) < listed.index("+12125550100") < listed.index(PORTED)


def test_concurrent_changes_are_reported_and_nothing_is_stored(twilio: SandboxCli, valkey_url: str) -> None:
    settings = load_settings({"SMS_ROUTER_CONFIG": "config", "REDIS_URL": valkey_url})
    with sync_client(valkey_url) as others:

        def overtaken(before: Checklist | None, at: float, who: str) -> Checklist | None:
            others.hincrby(CHECKLISTS, PORTED)
            return Checklist.start(choose_path(PORTED, None, None), SERVICE, at, who)

        with pytest.raises(CommandError) as reported:
            update_checklist(settings, PORTED, "added", overtaken)
        others.hdel(CHECKLISTS, PORTED)
    assert "nothing was stored" in reported.value.lines[0]
    assert reported.value.code == 1


def test_documents_and_renewals_are_recorded_with_their_dates(twilio: SandboxCli) -> None:
    today = datetime.now(UTC).date()
    twilio("onboarding", "add", "+447400123456")
    words = ["onboarding", "document", "+447400123456", "bill", "--date"]
    refused = twilio(*words, (today - timedelta(days=40)).isoformat())
    assert (refused.code, "is 40 days old" in refused.err) == (1, True)
    assert twilio(*words, today.isoformat(), "--address", "1 High Street").code == 0
    shown = state(twilio, "+447400123456")
    assert shown["documents"] == [
        {"document": "bill", "date": today.isoformat(), "name": None, "address": "1 High Street"}
    ]
    assert "the letter of authorization (LOA) is not recorded" in shown["document_problems"]  # type: ignore[operator]
    assert "bill: " in twilio("onboarding", "show", "+447400123456").out
    sent = twilio("onboarding", "done", "+447400123456", "request")
    assert sent.code == 0
    assert "may be rejected: the letter of authorization (LOA) is not recorded." in on_one_line(sent.err)

    twilio("onboarding", "add", "54321", "--kind", "short-code-lease")
    early = twilio("onboarding", "done", "54321", "transfer")
    assert (early.code, "can delay the provisioning or make it fail.\n" in early.err) == (1, True)
    assert twilio("onboarding", "renewal", "54321", "2099-06-15").code == 0
    calendar = twilio("onboarding", "calendar").out
    assert "DTSTART;VALUE=DATE:20990615" in calendar
    assert "20990601" not in calendar
    twilio("onboarding", "done", "54321", "go-ahead")
    twilio("onboarding", "done", "54321", "transfer")
    assert "DTSTART;VALUE=DATE:20990601" in twilio("onboarding", "calendar").out
    assert "Twilio bills it on 2099-06-01" in twilio("onboarding", "show", "54321").out
