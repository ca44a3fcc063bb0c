"""Findings about pending numbers."""

from __future__ import annotations

from datetime import date

import pytest

from sms_router.checks.finding import Severity
from sms_router.checks.onboarding import check_orphans, check_pending_numbers
from sms_router.onboarding.checklist import Checklist
from sms_router.onboarding.documents import DocumentKind, RecordedDocument
from sms_router.onboarding.repository import OnboardingState
from sms_router.onboarding.steps import LIVE, OnboardingKind
from tests.onboarding.builders import DAY, NOON, SERVICE, begun

NUMBER, CODE = "+14155550100", "12345"
ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
MIGRATION = OnboardingKind.SHORT_CODE_MIGRATION


@pytest.mark.parametrize(
    ("checklist", "members", "texted", "days", "expected"),
    [
        (begun(), (), (), 1, []),
        (begun(), (), (), 29, [(WARNING, "is late: usually done by 2026-02-06")]),
        (begun(), (NUMBER,), (), 1, [(NOTE, "is skipped until it is live")]),
        (begun(), (NUMBER,), (NUMBER,), 1, [(WARNING, "received a message through Twilio")]),
        (begun(expected=date(2026, 1, 20)), (), (), 1, []),
        (begun(expected=date(2026, 1, 20)), (), (), 4, [(WARNING, "is not in the Service")]),
        (begun(expected=date(2026, 1, 20)), (NUMBER,), (), 4, [(NOTE, "is skipped until")]),
        (begun(expected=date(2026, 1, 20)), (NUMBER,), (), 11, [(WARNING, "its day has come")]),
        (begun(expected=date(2026, 1, 20)), (), (), 11, [(ERROR, "is not in the Service")]),
        (
            begun(expected=date(2026, 1, 20)),
            (),
            (),
            12,
            [(WARNING, "was expected on 2026-01-20"), (ERROR, "is not in the Service")],
        ),
        (begun().reject("PIN", NOON, "ada"), (), (), 40, [(WARNING, "was rejected: PIN")]),
        (
            begun(OnboardingKind.PORT_CANADA).complete_step("review", NOON, "ada"),
            (),
            (),
            8,
            [(WARNING, "carrier was due on 2026-01-16")],
        ),
        (begun(MIGRATION), (CODE,), (CODE,), 1, [(NOTE, "is skipped until it is live")]),
        (begun(MIGRATION, date(2026, 1, 10)), (CODE,), (CODE,), 1, [(NOTE, "is skipped until it is live")]),
        (begun().complete_step(LIVE, NOON, "ada"), (), (), 400, []),
    ],
)
def test_late_missing_and_live_numbers_are_findings(
    checklist: Checklist,
    members: tuple[str, ...],
    texted: tuple[str, ...],
    days: int,
    expected: list[tuple[Severity, str]],
) -> None:
    state = OnboardingState((checklist,), dict.fromkeys(texted, NOON))
    findings = list(check_pending_numbers(state, SERVICE, set(members), set(members), NOON + days * DAY))
    assert [finding.severity for finding in findings] == [severity for severity, _ in expected]
    for finding, (_, part) in zip(findings, expected, strict=True):
        assert part in finding.sentence
        assert finding.remedy.startswith("sms-router ")
    assert (
        list(check_pending_numbers(state, "MG" + "2" * 32, set(members), set(members), NOON + days * DAY))
        == []
    )


def test_a_pending_number_of_an_unconfigured_service_is_a_finding() -> None:
    state = OnboardingState((begun(),))
    (finding,) = check_orphans(state, {"MG" + "2" * 32})
    assert NUMBER in finding.sentence
    assert list(check_orphans(state, {SERVICE})) == []


@pytest.mark.parametrize(("days", "severities"), [(3, [NOTE]), (4, [NOTE, WARNING]), (11, [WARNING, ERROR])])
def test_a_number_whose_calls_nothing_answers_is_a_finding(days: int, severities: list[Severity]) -> None:
    checklist = begun(expected=date(2026, 1, 20))
    at = NOON + days * DAY
    findings = list(check_pending_numbers(OnboardingState((checklist,)), SERVICE, {NUMBER}, set(), at))
    assert [finding.severity for finding in findings] == severities
    if len(findings) == 2:
        assert "nothing answers its calls" in findings[1].sentence
    refused = OnboardingState((checklist.refuse_calls(NOON, "ada"),))
    assert len(list(check_pending_numbers(refused, SERVICE, {NUMBER}, set(), at))) == 1


def test_the_renewal_of_a_lease_is_a_finding_thirty_days_before() -> None:
    lease = begun(OnboardingKind.SHORT_CODE_LEASE).renew(date(2026, 2, 9), NOON, "ada")
    transferred = lease.complete_step("go-ahead", NOON, "ada").complete_step("transfer", NOON, "ada")
    for checklist, severity, part in (
        (lease, WARNING, "ends on 2026-02-09, and is not transferred yet"),
        (transferred, NOTE, "is renewed on 2026-02-09; Twilio pays for it"),
    ):
        state = OnboardingState((checklist,))
        assert list(check_pending_numbers(state, SERVICE, set(), set(), NOON)) == []
        (finding,) = check_pending_numbers(state, SERVICE, set(), set(), NOON + DAY)
        assert (finding.severity, part in finding.sentence) == (severity, True)


def test_problems_of_recorded_documents_are_findings() -> None:
    loa = RecordedDocument(DocumentKind.LOA, date(2026, 1, 1), "Ada")
    checklist = begun(OnboardingKind.PORT_CANADA).record_document(loa, NOON, "ada")
    findings = list(check_pending_numbers(OnboardingState((checklist,)), SERVICE, set(), set(), NOON))
    assert [finding.sentence for finding in findings] == [
        "+16475550100: the Customer Service Record (CSR) is not recorded.",
        "+16475550100: the phone bill is not recorded.",
    ]
