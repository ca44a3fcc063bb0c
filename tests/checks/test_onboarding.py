"""What ``check`` says of numbers on their way."""

from __future__ import annotations

from datetime import date

import pytest

from sms_router.checks.finding import Severity
from sms_router.checks.onboarding import check_orphans, check_pending_numbers
from sms_router.onboarding.checklist import Checklist
from sms_router.onboarding.process import LIVE, Kind
from sms_router.onboarding.repository import OnboardingState
from tests.onboarding.worlds import DAY, NOON, SERVICE, begun

NUMBER, CODE = "+14155550100", "12345"
ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
MIGRATION = Kind.SHORT_CODE_MIGRATION


@pytest.mark.parametrize(
    ("checklist", "members", "texted", "days", "said"),
    [
        (begun(), (), (), 1, []),
        (begun(), (), (), 29, [(WARNING, "is late: usually done by 2026-02-06")]),
        (begun(), (NUMBER,), (), 1, [(NOTE, "passed over until it is live")]),
        (begun(), (NUMBER,), (NUMBER,), 1, [(WARNING, "received a message through Twilio")]),
        (begun(expected=date(2026, 1, 20)), (), (), 1, []),
        (begun(expected=date(2026, 1, 20)), (), (), 4, [(WARNING, "is not in the Service")]),
        (begun(expected=date(2026, 1, 20)), (NUMBER,), (), 4, [(NOTE, "passed over until")]),
        (begun(expected=date(2026, 1, 20)), (NUMBER,), (), 11, [(WARNING, "its day has come")]),
        (begun(expected=date(2026, 1, 20)), (), (), 11, [(ERROR, "is not in the Service")]),
        (
            begun(expected=date(2026, 1, 20)),
            (),
            (),
            12,
            [(WARNING, "was expected on 2026-01-20"), (ERROR, "is not in the Service")],
        ),
        (begun().rejected_for("PIN", NOON, "ada"), (), (), 40, [(WARNING, "was rejected: PIN")]),
        (
            begun(Kind.PORT_CANADA).advanced("review", NOON, "ada"),
            (),
            (),
            8,
            [(WARNING, "carrier was due on 2026-01-16")],
        ),
        (begun(MIGRATION), (CODE,), (CODE,), 1, [(NOTE, "passed over until it is live")]),
        (begun(MIGRATION, date(2026, 1, 10)), (CODE,), (CODE,), 1, [(NOTE, "passed over until it is live")]),
        (begun().advanced(LIVE, NOON, "ada"), (), (), 400, []),
    ],
)
def test_what_is_late_missing_or_live_is_told(
    checklist: Checklist,
    members: tuple[str, ...],
    texted: tuple[str, ...],
    days: int,
    said: list[tuple[Severity, str]],
) -> None:
    arrivals = OnboardingState((checklist,), dict.fromkeys(texted, NOON))
    findings = list(check_pending_numbers(arrivals, SERVICE, set(members), NOON + days * DAY))
    assert [finding.severity for finding in findings] == [severity for severity, _ in said]
    for finding, (_, words) in zip(findings, said, strict=True):
        assert words in finding.sentence
        assert finding.remedy.startswith("sms-router ")
    assert list(check_pending_numbers(arrivals, "MG" + "2" * 32, set(members), NOON + days * DAY)) == []


def test_a_number_of_a_service_that_is_not_configured_is_told() -> None:
    arrivals = OnboardingState((begun(),))
    (finding,) = check_orphans(arrivals, {"MG" + "2" * 32})
    assert NUMBER in finding.sentence
    assert list(check_orphans(arrivals, {SERVICE})) == []
