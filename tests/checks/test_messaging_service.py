"""Findings about a Service, its account and its public URL: one row for each, and no others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sms_router.checks.credentials import check_account, check_callback_host, check_public_url
from sms_router.checks.finding import ExpectedSettings, Severity, is_same_endpoint
from sms_router.checks.messaging_service import check_service
from sms_router.membership.admin import AccountState
from sms_router.membership.snapshot import ServiceProperties, Snapshot
from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.twilio.webhook_url import NumberUrls

BOTH = Capability.SMS | Capability.MMS
OURS = ExpectedSettings("https://sms.example.com", is_reachable=True, sends_media=True)
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


def findings_of(snapshot: Snapshot, expected: ExpectedSettings = OURS) -> list[tuple[Severity, str]]:
    """Return all findings but the notes of a good Service."""
    usual = ("Advanced Opt-Out", "share one host")
    findings = [
        each for each in check_service(snapshot, expected) if not any(part in each.sentence for part in usual)
    ]
    assert all(each.subject == "MG1" and each.remedy for each in findings)
    return [(each.severity, each.sentence) for each in findings]


def test_a_good_service_has_only_notes_about_opt_outs_and_its_fallback() -> None:
    fallback, opt_out = check_service(service(*POOL), OURS)
    assert {(note.severity, note.fixes) for note in (fallback, opt_out)} == {(NOTE, ())}
    assert "whether Advanced Opt-Out is enabled" in opt_out.sentence
    assert fallback.sentence.startswith("The inbound and the fallback URL share one host: when all of it is")
    assert "docs/deploying.md" in fallback.remedy


@pytest.mark.parametrize(
    ("fallback", "expected"),
    [
        (OURS.fallback, True),
        ("https://SMS.example.com:8443/other", True),
        ("https://handler.twilio.com/twiml/EH1", False),
        ("https://sms2.example.com/sms/fallback", False),
        ("https://[::1/sms", False),
    ],
)
def test_a_fallback_on_the_host_of_the_inbound_url_is_noted(fallback: str, expected: bool) -> None:
    findings = check_service(service(*POOL, fallback_url=fallback), OURS)
    assert any("share one host" in each.sentence for each in findings) is expected


ELSEWHERE = "https://handler.twilio.com/twiml/EH1"


@pytest.mark.parametrize(
    ("changed", "severity", "sentence", "fixed"),
    [
        ({"inbound_method": "GET"}, WARNING, "The inbound method is GET", {"inbound_method": "POST"}),
        ({"fallback_method": "GET"}, WARNING, "The fallback method is GET", {"fallback_method": "POST"}),
        ({"fallback_method": "GET", "fallback_url": ELSEWHERE}, NOTE, "The fallback method is GET", {}),
    ],
)
def test_a_webhook_with_get_is_a_warning(
    changed: dict[str, Any], severity: Severity, sentence: str, fixed: dict[str, str]
) -> None:
    findings = check_service(service(*POOL, **changed), OURS)
    (finding,) = (each for each in findings if "is GET" in each.sentence)
    assert finding.severity is severity
    assert finding.sentence == (
        f"{sentence}: a long text exceeds the length of URLs that proxies accept (nginx answers 414)."
    )
    assert {fix.name: fix.after for fix in finding.fixes} == fixed


NUMBER_GET = NumberUrls(sms_url=OURS.inbound, sms_method="GET")
OTHER_GET = NumberUrls(sms_url="https://old.example.com/in", sms_method="GET")


@pytest.mark.parametrize(
    ("urls", "on_number", "sentence", "fixed"),
    [
        (NUMBER_GET, False, "The webhook method of 12345 is GET", {"sms_method": "POST"}),
        (NumberUrls(sms_fallback_url=OURS.fallback, sms_fallback_method="GET"), False,
         "The fallback method of 12345 is GET", {"sms_fallback_method": "POST"}),
        (OTHER_GET, True, "The webhook method of 12345 is GET", {}),
        (OTHER_GET, False, None, {}),
        (NumberUrls(sms_method="GET"), True, None, {}),
        (replace(NUMBER_GET, sms_application_sid="AP1"), True, None, {}),
    ],
)  # fmt: skip
def test_a_number_with_get_is_a_warning_where_its_webhook_is_used_or_ours(
    urls: NumberUrls, on_number: bool, sentence: str | None, fixed: dict[str, str]
) -> None:
    snapshot = service(*POOL, urls={"SC1": urls}, use_inbound_webhook_on_number=on_number)
    findings = [each for each in check_service(snapshot, OURS) if "is GET" in each.sentence]
    assert [each.severity for each in findings] == ([] if sentence is None else [WARNING])
    for finding in findings:
        assert finding.sentence.startswith(str(sentence))
        assert {fix.name: fix.after for fix in finding.fixes} == fixed
        assert all(fix.number_sid == "SC1" for fix in finding.fixes)


@pytest.mark.parametrize(
    ("changed", "severity", "part", "fixed"),
    [
        ({"inbound_request_url": None}, ERROR, "drops incoming messages without a log entry", OURS.inbound),
        ({"inbound_request_url": "https://old.example.com/sms"}, ERROR, "not to this router", OURS.inbound),
        ({"inbound_request_url": "http://sms.example.com/sms"}, ERROR, "not to this router", OURS.inbound),
        ({"inbound_request_url": OURS.inbound + "/"}, ERROR, "not to this router", OURS.inbound),
        ({"use_inbound_webhook_on_number": True}, ERROR, "uses the webhook of each number", False),
        ({"fallback_url": None}, ERROR, "The fallback URL is not set", OURS.fallback),
        ({"fallback_url": OURS.inbound}, ERROR, "equals the inbound URL", OURS.fallback),
        ({"fallback_url": "https://b.example.com/"}, NOTE, "has none of the router's stored answers", None),
        ({"status_callback": None}, NOTE, "status callback is not set", None),
        ({"status_callback": "https://b.example.com/"}, NOTE, "goes to https://b.example.com/", None),
    ],
)
def test_a_wrong_setting_is_one_finding(
    changed: dict[str, Any], severity: Severity, part: str, fixed: object
) -> None:
    findings = [each for each in check_service(service(*POOL, **changed), OURS) if part in each.sentence]
    assert [each.severity for each in findings] == [severity]
    assert [each.after for each in findings[0].fixes] == ([] if fixed is None else [fixed])
    assert len(findings_of(service(*POOL, **changed))) == 1


def test_a_service_without_a_url_that_uses_number_webhooks_has_two_findings() -> None:
    by_number = service(*POOL, inbound_request_url=None, use_inbound_webhook_on_number=True)
    assert [sentence for _, sentence in findings_of(by_number)] == [
        "The Service has no inbound URL.",
        "The Service uses the webhook of each number: the router does not receive its messages.",
    ]


def test_connection_overrides_and_default_ports_do_not_matter() -> None:
    overridden = service(*POOL, inbound_request_url="https://sms.example.com:443/sms?a=b#rc=2&rp=all")
    assert findings_of(overridden) == []
    assert not is_same_endpoint("https://sms.example.com:44x/sms", OURS.inbound)


@pytest.mark.parametrize(
    ("senders", "severity", "words"),
    [
        ((), ERROR, "The Sender Pool is empty"),
        ((CODE,), WARNING, "12345 has no long code for failover in US: contacts whose carrier does not"),
        ((CODE,), WARNING, "short codes get no reply."),
        ((CODE, BRITISH), WARNING, "short codes get replies from a number of another country, if it"),
        ((LONG, CANADIAN), WARNING, "In Canada only a long code is available for failover"),
        ((LONG, FREE, FREE_TOO), WARNING, "2 toll-free numbers (+18885550100, +18775550100)"),
        ((LONG, MUTE), WARNING, "+14155550109 cannot send SMS"),
        ((FREE,), ERROR, "no sender of the Service can send MMS"),
    ],
)
def test_a_pool_that_does_not_reach_all_contacts_is_one_finding(
    senders: tuple[Sender, ...], severity: Severity, words: str
) -> None:
    ((level, sentence),) = findings_of(service(*senders))
    assert level is severity
    assert words in sentence


@pytest.mark.parametrize(("code", "free"), [("US", "CA"), ("CA", "US")])
def test_a_toll_free_number_serves_the_united_states_and_canada(code: str, free: str) -> None:
    assert findings_of(service(replace(CODE, country=code), replace(FREE, country=free))) == []


def test_mms_is_needed_only_if_rules_send_media() -> None:
    assert findings_of(service(FREE), replace(OURS, sends_media=False)) == []


def test_a_long_code_that_is_not_live_does_not_count_for_failover() -> None:
    ((_, sentence),) = findings_of(service(CODE, replace(LONG, live=False)))
    assert "has no long code for failover" in sentence


def test_unused_urls_of_numbers_are_noted_unless_the_service_uses_them() -> None:
    urls = {"PN1": NumberUrls(sms_url="https://old.example.com/in"), "SC1": NumberUrls()}
    ((severity, sentence),) = findings_of(service(*POOL, urls=urls))
    assert severity is NOTE
    assert sentence.startswith("+14155550100 has its own URL, https://old.example.com/in")
    by_number = service(*POOL, urls=urls, use_inbound_webhook_on_number=True)
    assert all("its own URL" not in sentence for _, sentence in findings_of(by_number))
    used = check_service(service(*POOL, urls=urls), replace(OURS, number_urls=True))
    assert all("its own URL" not in each.sentence for each in used)


@pytest.mark.parametrize("number_urls", [True, False])
def test_an_unused_twiml_application_is_noted_instead_of_the_url_that_it_replaces(
    number_urls: bool,
) -> None:
    urls = {"PN1": NumberUrls(sms_url="https://old.example.com/in", sms_application_sid="AP1")}
    expected = replace(OURS, number_urls=number_urls)
    notes = [
        each for each in check_service(service(*POOL, urls=urls), expected) if "is not used" in each.sentence
    ]
    assert [each.severity for each in notes] == [NOTE]
    assert notes[0].sentence.startswith("+14155550100 has the TwiML application AP1, ")
    assert 'numbers = ["+14155550100"], forward = { url = "https://..." }' in notes[0].remedy


def test_there_is_no_fix_with_a_url_that_twilio_cannot_reach() -> None:
    broken = service(*POOL, inbound_request_url=None, fallback_url=None)
    findings = check_service(broken, replace(OURS, is_reachable=False))
    assert not any(each.fixes for each in findings)
    assert sum("Set PUBLIC_URL" in each.remedy for each in findings) == 2


def test_the_worst_finding_comes_first() -> None:
    severities = [
        severity for severity, _ in findings_of(service(CODE, status_callback=None, fallback_url=None))
    ]
    assert severities == [ERROR, WARNING, NOTE]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (AccountState("active", "primary"), []),
        (AccountState("active", None), []),
        (AccountState("active", "secondary"), [(NOTE, "signs with the secondary token")]),
        (AccountState("active", "third"), [(ERROR, "every request is refused")]),
        (AccountState("suspended", "primary"), [(ERROR, "The account is suspended")]),
    ],
)
def test_only_the_primary_token_signs(state: AccountState, expected: list[tuple[Severity, str]]) -> None:
    findings = list(check_account("AC1", state, ("primary", "secondary")))
    assert len(findings) == len(expected)
    for finding, (severity, words) in zip(findings, expected, strict=True):
        assert finding.severity is severity
        assert words in finding.sentence
        assert "third" not in finding.sentence + finding.remedy


def test_a_host_with_an_underscore_gets_no_status_callbacks() -> None:
    (finding,) = check_callback_host("https://sms_router.example.com:8443/a_b")
    assert finding.severity is ERROR
    assert finding.sentence.startswith("sms_router.example.com contains an underscore")
    assert "such as sms-router.example.com," in finding.remedy
    assert list(check_callback_host("https://sms.example.com/a_b")) == []


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
    findings = list(check_public_url(url, configured=configured))
    assert [each.severity for each in findings] == ([] if good else [ERROR])
