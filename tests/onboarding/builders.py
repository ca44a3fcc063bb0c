"""Builds checklists for tests, one by one and as a Hypothesis strategy."""

from __future__ import annotations

from contextlib import suppress
from datetime import date

from hypothesis import strategies as st

from sms_router.onboarding.checklist import Checklist, StepError
from sms_router.onboarding.process_choice import OnboardingPath, choose_path
from sms_router.onboarding.steps import OnboardingKind

NOON = 1_767_960_000.0
"""2026-01-09 12:00 UTC, a Friday."""
DAY = 86_400.0
SERVICE = "MG" + "1" * 32
REQUEST = "KW" + "1" * 32

NUMBERS = {
    OnboardingKind.SHORT_CODE_LEASE: "54321",
    OnboardingKind.SHORT_CODE_MIGRATION: "12345",
    OnboardingKind.PORT_US: "+14155550100",
    OnboardingKind.PORT_CANADA: "+16475550100",
    OnboardingKind.PORT_TOLL_FREE: "+18885550100",
    OnboardingKind.PORT_INTERNATIONAL: "+447400123456",
}


def path(kind: OnboardingKind = OnboardingKind.PORT_US) -> OnboardingPath:
    return choose_path(NUMBERS[kind], kind, None)


def begun(kind: OnboardingKind = OnboardingKind.PORT_US, expected: date | None = None) -> Checklist:
    return Checklist.start(path(kind), SERVICE, NOON, "ada", expected)


@st.composite
def checklists(draw: st.DrawFn) -> Checklist:
    """Checklists with some history."""
    checklist = begun(
        draw(st.sampled_from(OnboardingKind)), draw(st.none() | st.dates(date(2026, 1, 9), date(2030, 1, 1)))
    )
    at = NOON
    for step in draw(
        st.lists(st.sampled_from((*checklist.process.step_names, "reject", "note", "expect")), max_size=8)
    ):
        at += draw(st.floats(0, 40 * DAY))
        if step == "reject":
            if not checklist.is_finished:
                checklist = checklist.reject(draw(st.text(max_size=20)), at, "ada")
        elif step == "note":
            checklist = checklist.add_note(draw(st.text(max_size=20)), at, "ben")
        elif step == "expect":
            checklist = checklist.expect(draw(st.dates()), at, "ben")
        elif step not in checklist.done:
            with suppress(StepError):  # it must wait for an approval
                checklist = checklist.complete_step(step, at, "ada")
    return checklist
