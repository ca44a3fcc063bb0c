"""Automatic progress: port statuses, membership in the Service, and incoming messages."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.onboarding.checklist import Checklist, HistoryAction, HistoryEntry
from sms_router.onboarding.porting_api import PortedNumber
from sms_router.onboarding.progress import apply_port_status, apply_progress
from sms_router.onboarding.steps import OnboardingKind
from tests.onboarding.builders import DAY, NOON, REQUEST, SERVICE, begun, checklists, path

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
    status: str,
    request: str = "in_progress",
    day: date | None = None,
    reason: str | None = None,
    *,
    missing: bool = False,
) -> PortedNumber:
    return PortedNumber(REQUEST, request, status, day, reason, missing)


def with_request() -> Checklist:
    return Checklist.start(path(), SERVICE, NOON, "ada", None, REQUEST)


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
        ("in_review", "action_required", "review", "Twilio requires an action: bad PIN"),
    ],
)
def test_a_port_status_completes_steps_or_rejects(
    number: str, request_: str, now: str | None, rejected: str | None
) -> None:
    after = apply_port_status(with_request(), ported(number, request_, reason="bad PIN"), NOON)
    assert (after.current_step.name if after.current_step else None) == now
    assert after.rejected == rejected


def test_a_port_date_is_recorded_and_acceptance_ends_a_rejection() -> None:
    rejected = apply_port_status(with_request(), ported("port_rejected", reason="bad PIN"), NOON)
    accepted = apply_port_status(rejected, ported("port_pending", day=date(2026, 2, 1)), NOON)
    assert accepted.rejected is None
    assert accepted.expected == date(2026, 2, 1)


def test_a_review_after_a_rejection_is_a_new_submission() -> None:
    signed = apply_port_status(with_request(), ported("port_submitted"), NOON)
    rejected = apply_port_status(signed, ported("port_rejected", reason="bad PIN"), NOON)
    again = apply_port_status(rejected, ported("in_review", "in_review"), NOON + DAY)
    assert (again.rejected, again.done) == (None, frozenset({"portability", "request"}))
    by_operator = signed.reject("bad PIN", NOON, "ada")
    assert apply_port_status(by_operator, ported("in_review", "in_review"), NOON) == by_operator


@given(
    checklists(), st.sampled_from(NUMBER_STATUSES), st.sampled_from(REQUEST_STATUSES), st.none() | st.dates()
)
def test_the_same_status_again_changes_nothing_and_no_step_is_undone(
    checklist: Checklist, number: str, request_: str, day: date | None
) -> None:
    if checklist.kind is not OnboardingKind.PORT_US:
        checklist = begun()
    port = ported(number, request_, day)
    once = apply_port_status(checklist, port, NOON + DAY)
    assert once.done >= checklist.done
    assert apply_port_status(once, port, NOON + 2 * DAY) == once


def test_a_number_in_its_service_is_configured_and_live_on_its_expected_day() -> None:
    checklist = begun(OnboardingKind.PORT_CANADA, date(2026, 1, 12))
    early = apply_progress(checklist, NOON, in_service=True, has_voice=True, texted=None)
    assert early.is_configured
    assert not early.is_finished
    assert apply_progress(early, NOON + 3 * DAY, in_service=True, has_voice=True, texted=None).is_finished
    assert not apply_progress(
        checklist, NOON + 3 * DAY, in_service=False, has_voice=True, texted=None
    ).is_finished
    rejected = early.reject("PIN", NOON, "ada")
    assert not apply_progress(
        rejected, NOON + 3 * DAY, in_service=True, has_voice=True, texted=None
    ).is_finished


@pytest.mark.parametrize(
    ("kind", "request_sid", "is_live"),
    [
        (OnboardingKind.PORT_US, REQUEST, False),
        (OnboardingKind.PORT_US, None, True),
        (OnboardingKind.PORT_CANADA, REQUEST, True),
    ],
)
def test_a_port_whose_status_twilio_does_not_report_is_live_on_its_day(
    kind: OnboardingKind, request_sid: str | None, is_live: bool
) -> None:
    checklist = Checklist.start(path(kind), SERVICE, NOON, "ada", date(2026, 1, 9), request_sid)
    after = apply_progress(checklist, NOON, in_service=True, has_voice=True, texted=None)
    assert after.is_finished is is_live


def test_a_port_with_a_status_is_live_only_when_twilio_completes_it() -> None:
    checklist = with_request().expect(date(2026, 1, 9), NOON, "ada")
    assert not apply_progress(checklist, NOON + DAY, in_service=True, has_voice=True, texted=None).is_finished
    assert apply_port_status(checklist, ported("completed"), NOON).is_finished


@pytest.mark.parametrize("kind", OnboardingKind)
def test_a_number_that_received_a_message_is_live_unless_it_moves_carrier_by_carrier(
    kind: OnboardingKind,
) -> None:
    after = apply_progress(
        begun(kind, date(2026, 1, 9)), NOON + DAY, in_service=True, has_voice=True, texted=NOON
    )
    assert after.is_finished is (kind is not OnboardingKind.SHORT_CODE_MIGRATION)


def test_a_port_is_configured_with_voice_or_without_calls_on_purpose() -> None:
    checklist = begun(OnboardingKind.PORT_CANADA)
    silent = apply_progress(checklist, NOON, in_service=True, has_voice=False, texted=None)
    assert not silent.is_configured
    refused = checklist.refuse_calls(NOON, "ada")
    configured = apply_progress(refused, NOON, in_service=True, has_voice=False, texted=None)
    assert configured.history[-1].detail == (
        "configure (it is in the Messaging Service, and it takes no calls)"
    )
    code = begun(OnboardingKind.SHORT_CODE_LEASE)
    assert apply_progress(code, NOON, in_service=True, has_voice=False, texted=None).is_configured


LATER = NOON + DAY
SIGNED = with_request().complete_step("signature", NOON, "ada")
REFUSED = apply_port_status(SIGNED, ported("port_rejected"), NOON)


@pytest.mark.parametrize(
    ("checklist", "port", "recorded"),
    [
        (with_request(), ported("port_submitted"), [("done", "signature (port submitted)")]),
        (with_request(), ported("", "waiting_for_signature"), [("done", "review (waiting for signature)")]),
        (
            SIGNED,
            ported("port_pending", day=date(2026, 2, 1)),
            [("expected", "2026-02-01"), ("done", "carrier (port pending)")],
        ),
        (SIGNED, ported("completed", "expired"), [("done", "live (completed)")]),
        (REFUSED, ported("in_review", "in_review"), [("resubmitted", "")]),
        (SIGNED, ported("port_rejected"), [("rejected", "rejected by the losing carrier")]),
        (
            SIGNED,
            ported("canceling", reason="PIN", missing=True),
            [
                (
                    "rejected",
                    "the port is being canceled: PIN:"
                    " required fields are missing, such as the PIN or the account number",
                )
            ],
        ),
        (SIGNED, ported("canceled", "expired"), [("rejected", "the port was canceled")]),
        (SIGNED, ported("in_review", "canceled"), [("rejected", "the port was canceled")]),
        (REFUSED, ported("port_rejected"), []),
    ],
)
def test_what_twilio_reports_of_a_port_is_recorded(
    checklist: Checklist, port: PortedNumber, recorded: list[tuple[str, str]]
) -> None:
    after = apply_port_status(checklist, port, LATER)
    added = [HistoryEntry(LATER, "Twilio", HistoryAction(action), detail) for action, detail in recorded]
    assert after.history == (*checklist.history, *added)
    assert (
        apply_progress(checklist, LATER, in_service=False, has_voice=False, texted=None, port=port) == after
    )
    other = PortedNumber("KW2", port.request_status, port.status, None, None)
    assert (
        apply_progress(checklist, LATER, in_service=False, has_voice=False, texted=None, port=other)
        == checklist
    )


@pytest.mark.parametrize(
    ("kind", "has_voice", "texted", "recorded"),
    [
        (
            OnboardingKind.PORT_CANADA,
            True,
            None,
            [
                "configure (it is in the Messaging Service, and its calls are answered)",
                "live (the expected day has come)",
            ],
        ),
        (
            OnboardingKind.SHORT_CODE_LEASE,
            False,
            1.0,
            ["configure (it is in the Messaging Service)", "live (it received a message through Twilio)"],
        ),
        (OnboardingKind.SHORT_CODE_MIGRATION, False, 1.0, ["configure (it is in the Messaging Service)"]),
    ],
)
def test_what_is_observed_of_a_number_is_recorded(
    kind: OnboardingKind, has_voice: bool, texted: float | None, recorded: list[str]
) -> None:
    checklist = begun(kind, date(2026, 1, 10))
    after = apply_progress(checklist, LATER, in_service=True, has_voice=has_voice, texted=texted)
    added = [HistoryEntry(LATER, "Twilio", HistoryAction.DONE, detail) for detail in recorded]
    assert after.history == (*checklist.history, *added)
