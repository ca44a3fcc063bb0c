"""What ``check`` finds: one row for each thing that can be wrong with a Service, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sms_router.checks.credentials import inspect_account, inspect_callback_host, inspect_public_url
from sms_router.checks.finding import ExpectedSettings, Severity, same_place
from sms_router.checks.messaging_service import check_service
from sms_router.membership.admin import AccountState
from sms_router.membership.snapshot import NumberUrls, ServiceProperties, Snapshot
from sms_router.senders.models import Capability, Sender, SenderKind

BOTH = Capability.SMS | Capability.MMS
OURS = ExpectedSettings("https://sms.example.com", reachable=True, sends_media=True)
GOOD = ServiceProperties("Shop", OURS.inbound, fallback_url=OURS.fallback, status_callback=OURS.status)

CODE = Sender("SC1", "12345", SenderKind.SHORT_CODE, "US", BOTH)
LONG = Sender("PN1", "+14155550100", SenderKind.LONG_CODE, "US", BOTH)
FREE = Sender("PN2", "+18885550100", SenderKind.TOLL_FREE, "US", Capability.SMS)
FREE_TOO = replace(FREE, sid="PN3", address="+18775550100")
CANADIAN = Sender("PN4", "+16475550100", SenderKind.LONG_CODE, "CA", Capability.SMS)
BRITISH = replace(LONG, sid="PN6", address="+447400000007", country="GB")
MUTE = replace(LONG, sid="PN5", address="+14155550109", capabilities=Capability.NONE)
POOL = (CODE, LONG, FREE)

ERROR, WARNING, NOTE = Severity


def service(*senders: Sender, urls: dict[str, NumberUrls] | None = None, **changed: Any) -> Snapshot:
    return Snapshot("AC1", "MG1", senders, replace(GOOD, **changed), urls or {}, 0.0, 1)


def found(snapshot: Snapshot, expected: ExpectedSettings = OURS) -> list[tuple[Severity, str]]:
    """What was found, but for the note about Advanced Opt-Out that is always there."""
    findings = [each for each in check_service(snapshot, expected) if "Advanced Opt-Out" not in each.sentence]
    assert all(each.subject == "MG1" and each.remedy for each in findings)
    return [(each.severity, each.sentence) for each in findings]


def test_all_is_well_but_for_what_the_api_does_not_tell() -> None:
    (only,) = check_service(service(*POOL), OURS)
    assert (only.severity, only.mendings) == (NOTE, ())
    assert "Whether Advanced Opt-Out is on" in only.sentence


@pytest.mark.parametrize(
    ("changed", "severity", "words", "mended"),
    [
        ({"inbound_request_url": None}, ERROR, "dropped, and not even logged", OURS.inbound),
        ({"inbound_request_url": "https://old.example.com/sms"}, ERROR, "not to this router", OURS.inbound),
        ({"inbound_request_url": "http://sms.example.com/sms"}, ERROR, "not to this router", OURS.inbound),
        ({"inbound_request_url": OURS.inbound + "/"}, ERROR, "not to this router", OURS.inbound),
        ({"use_inbound_webhook_on_number": True}, ERROR, "defers to each number's own webhook", False),
        ({"fallback_url": None}, ERROR, "No fallback URL is set", OURS.fallback),
        ({"fallback_url": OURS.inbound}, ERROR, "is the inbound URL", OURS.fallback),
        ({"fallback_url": "https://b.example.com/"}, NOTE, "knows none of the router's answers", None),
        ({"status_callback": None}, NOTE, "status callback is not set", None),
        ({"status_callback": "https://b.example.com/"}, NOTE, "goes to https://b.example.com/", None),
    ],
)
def test_settings_that_are_not_what_the_router_needs(
    changed: dict[str, Any], severity: Severity, words: str, mended: object
) -> None:
    findings = [each for each in check_service(service(*POOL, **changed), OURS) if words in each.sentence]
    assert [each.severity for each in findings] == [severity]
    assert [each.after for each in findings[0].mendings] == ([] if mended is None else [mended])
    assert len(found(service(*POOL, **changed))) == 1


def test_a_service_without_a_url_that_defers_is_told_once_for_each_setting() -> None:
    deferring = service(*POOL, inbound_request_url=None, use_inbound_webhook_on_number=True)
    assert [sentence for _, sentence in found(deferring)] == [
        "The Service has no inbound URL of its own.",
        "The Service defers to each number's own webhook: the router does not see its texts.",
    ]


def test_connection_overrides_and_ports_that_go_without_saying_do_not_matter() -> None:
    overridden = service(*POOL, inbound_request_url="https://sms.example.com:443/sms?a=b#rc=2&rp=all")
    assert found(overridden) == []
    assert not same_place("https://sms.example.com:44x/sms", OURS.inbound)


@pytest.mark.parametrize(
    ("senders", "severity", "words"),
    [
        ((), ERROR, "has no senders"),
        ((CODE,), WARNING, "12345 has no long code beside it in US: people whose carrier does not carry"),
        ((CODE,), WARNING, "short codes get nothing."),
        ((CODE, BRITISH), WARNING, "short codes are answered from another country's number, if it"),
        ((LONG, CANADIAN), WARNING, "In Canada only a long code"),
        ((LONG, FREE, FREE_TOO), WARNING, "2 toll-free numbers (+18885550100, +18775550100)"),
        ((LONG, MUTE), WARNING, "+14155550109 cannot send SMS"),
        ((FREE,), ERROR, "no number of the Service can send MMS"),
    ],
)
def test_pools_that_leave_somebody_unreached(
    senders: tuple[Sender, ...], severity: Severity, words: str
) -> None:
    ((level, sentence),) = found(service(*senders))
    assert level is severity
    assert words in sentence


@pytest.mark.parametrize(("code", "free"), [("US", "CA"), ("CA", "US")])
def test_a_toll_free_number_serves_the_united_states_and_canada(code: str, free: str) -> None:
    assert found(service(replace(CODE, country=code), replace(FREE, country=free))) == []


def test_pictures_matter_only_where_rules_send_them() -> None:
    assert found(service(FREE), replace(OURS, sends_media=False)) == []


def test_a_long_code_that_is_not_live_is_nothing_to_fall_back_on() -> None:
    ((_, sentence),) = found(service(CODE, replace(LONG, live=False)))
    assert "has no long code beside it" in sentence


def test_the_urls_that_the_service_hides_are_told_unless_it_defers() -> None:
    urls = {"PN1": NumberUrls(sms_url="https://old.example.com/in"), "SC1": NumberUrls()}
    ((severity, sentence),) = found(service(*POOL, urls=urls))
    assert severity is NOTE
    assert sentence.startswith("+14155550100 has a URL of its own, https://old.example.com/in")
    deferring = service(*POOL, urls=urls, use_inbound_webhook_on_number=True)
    assert all("of its own" not in sentence for _, sentence in found(deferring))
    used = check_service(service(*POOL, urls=urls), replace(OURS, number_urls=True))
    assert all("of its own" not in each.sentence for each in used)


@pytest.mark.parametrize("number_urls", [True, False])
def test_an_application_that_the_service_hides_is_told_in_place_of_the_url_that_it_makes_void(
    number_urls: bool,
) -> None:
    urls = {"PN1": NumberUrls(sms_url="https://old.example.com/in", sms_application_sid="AP1")}
    expected = replace(OURS, number_urls=number_urls)
    notes = [each for each in check_service(service(*POOL, urls=urls), expected) if "hides" in each.sentence]
    assert [each.severity for each in notes] == [NOTE]
    assert notes[0].sentence.startswith("+14155550100 has the TwiML application AP1, ")
    assert 'numbers = ["+14155550100"], forward = { url = "https://..." }' in notes[0].remedy


def test_twilio_is_never_told_of_a_url_that_it_cannot_reach() -> None:
    broken = service(*POOL, inbound_request_url=None, fallback_url=None)
    findings = check_service(broken, replace(OURS, reachable=False))
    assert not any(each.mendings for each in findings)
    assert sum("Set PUBLIC_URL" in each.remedy for each in findings) == 2


def test_the_worst_comes_first() -> None:
    severities = [severity for severity, _ in found(service(CODE, status_callback=None, fallback_url=None))]
    assert severities == [ERROR, WARNING, NOTE]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (AccountState("active", "primary"), []),
        (AccountState("active", None), []),
        (AccountState("active", "secondary"), [(NOTE, "signs with the secondary token")]),
        (AccountState("active", "third"), [(ERROR, "every request would be refused")]),
        (AccountState("suspended", "primary"), [(ERROR, "The account is suspended")]),
    ],
)
def test_only_the_primary_token_signs(state: AccountState, expected: list[tuple[Severity, str]]) -> None:
    findings = list(inspect_account("AC1", state, ("primary", "secondary")))
    assert len(findings) == len(expected)
    for finding, (severity, words) in zip(findings, expected, strict=True):
        assert finding.severity is severity
        assert words in finding.sentence
        assert "third" not in finding.sentence + finding.remedy


def test_a_host_with_an_underscore_gets_no_status_callbacks() -> None:
    (finding,) = inspect_callback_host("https://sms_router.example.com:8443/a_b")
    assert finding.severity is ERROR
    assert finding.sentence.startswith("sms_router.example.com has an underscore")
    assert "such as sms-router.example.com," in finding.remedy
    assert list(inspect_callback_host("https://sms.example.com/a_b")) == []


@pytest.mark.parametrize(
    ("url", "configured", "good"),
    [
        ("https://sms.example.com", True, True),
        ("https://93.184.216.34", True, True),
        ("http://127.0.0.1:8000", False, False),
        ("http://127.0.0.1:8000", True, False),
        ("http://10.0.0.5:8000", True, False),
        ("http://localhost:8000", True, False),
        ("https://router.internal", True, False),
        ("https://[::1]:8000", True, False),
    ],
)
def test_public_urls_that_twilio_cannot_reach_are_errors(url: str, configured: bool, good: bool) -> None:
    findings = list(inspect_public_url(url, configured=configured))
    assert [each.severity for each in findings] == ([] if good else [ERROR])
