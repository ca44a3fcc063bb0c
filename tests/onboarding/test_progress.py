"""What Twilio's statuses, the Service and texts say of a checklist."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.onboarding.checklist import Checklist
from sms_router.onboarding.porting import PortedNumber
from sms_router.onboarding.process import Kind
from sms_router.onboarding.progress import apply_observed, apply_port_status
from tests.onboarding.worlds import DAY, NOON, REQUEST, SERVICE, arrival, begun, checklists

NUMBER_STATUSES = [
    "",
    "in_review",
    "waiting_for_signature",
    "port_submitted",
    "port_rejected",
    "port_pending",
    "canceling",
    "canceled",
    "completed",
    "something_new",
]
REQUEST_STATUSES = [
    "in_progress",
    "completed",
    "expired",
    "in_review",
    "waiting_for_signature",
    "action_required",
    "canceled",
    "",
]


def ported(
    status: str, request: str = "in_progress", day: date | None = None, reason: str | None = None
) -> PortedNumber:
    return PortedNumber(REQUEST, request, status, day, reason)


def asked() -> Checklist:
    return Checklist.begun(arrival(), SERVICE, NOON, "ada", None, REQUEST)


@pytest.mark.parametrize(
    ("number", "request_", "now", "rejected"),
    [
        ("in_review", "in_review", "review", None),
        ("waiting_for_signature", "waiting_for_signature", "signature", None),
        ("port_submitted", "in_progress", "carrier", None),
        ("port_pending", "in_progress", "configure", None),
        ("completed", "completed", None, None),
        ("completed", "action_required", None, None),
        ("", "in_progress", "carrier", None),
        ("", "completed", None, None),
        ("something_new", "in_progress", "review", None),
        ("port_rejected", "action_required", "review", "rejected by the losing carrier: bad PIN"),
        ("canceled", "canceled", "review", "the port was canceled: bad PIN"),
        ("in_review", "expired", "review", "the port-in request has expired: bad PIN"),
        ("in_review", "action_required", "review", "Twilio asks for something: bad PIN"),
    ],
)
def test_twilios_statuses_move_it(number: str, request_: str, now: str | None, rejected: str | None) -> None:
    after = apply_port_status(asked(), ported(number, request_, reason="bad PIN"), NOON)
    assert (after.now.name if after.now else None) == now
    assert after.rejected == rejected


def test_a_confirmed_date_is_kept_and_acceptance_ends_a_rejection() -> None:
    rejected = apply_port_status(asked(), ported("port_rejected", reason="bad PIN"), NOON)
    accepted = apply_port_status(rejected, ported("port_pending", day=date(2026, 2, 1)), NOON)
    assert accepted.rejected is None
    assert accepted.expected == date(2026, 2, 1)


@given(
    checklists(), st.sampled_from(NUMBER_STATUSES), st.sampled_from(REQUEST_STATUSES), st.none() | st.dates()
)
def test_looking_again_changes_nothing_and_nothing_goes_back(
    checklist: Checklist, number: str, request_: str, day: date | None
) -> None:
    if checklist.kind is not Kind.PORT_US:
        checklist = begun()
    port = ported(number, request_, day)
    once = apply_port_status(checklist, port, NOON + DAY)
    assert once.done >= checklist.done
    assert apply_port_status(once, port, NOON + 2 * DAY) == once


def test_a_number_in_its_service_is_configured_and_live_once_its_day_has_come() -> None:
    checklist = begun(Kind.PORT_CANADA, date(2026, 1, 12))
    early = apply_observed(checklist, NOON, in_service=True, texted=None)
    assert early.configured
    assert not early.finished
    assert apply_observed(early, NOON + 3 * DAY, in_service=True, texted=None).finished
    assert not apply_observed(checklist, NOON + 3 * DAY, in_service=False, texted=None).finished
    rejected = early.rejected_for("PIN", NOON, "ada")
    assert not apply_observed(rejected, NOON + 3 * DAY, in_service=True, texted=None).finished


def test_a_port_that_twilio_tells_of_is_live_when_twilio_says_so() -> None:
    checklist = asked().expecting(date(2026, 1, 9), NOON, "ada")
    assert not apply_observed(checklist, NOON + DAY, in_service=True, texted=None).finished
    assert apply_port_status(checklist, ported("completed"), NOON).finished


@pytest.mark.parametrize("kind", Kind)
def test_what_was_texted_is_live_but_for_a_code_that_moves_carrier_by_carrier(kind: Kind) -> None:
    after = apply_observed(begun(kind, date(2026, 1, 9)), NOON + DAY, in_service=True, texted=NOON)
    assert after.finished is (kind is not Kind.SHORT_CODE_MIGRATION)
