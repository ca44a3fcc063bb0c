"""Checklists and moments for the tests of this folder."""

from __future__ import annotations

from datetime import date

from hypothesis import strategies as st

from sms_router.onboarding.checklist import Checklist
from sms_router.onboarding.process import Kind
from sms_router.onboarding.process_choice import OnboardingPath, choose_path

NOON = 1_767_960_000.0
"""2026-01-09 12:00 UTC, a Friday."""
DAY = 86_400.0
SERVICE = "MG" + "1" * 32
REQUEST = "KW" + "1" * 32

NUMBERS = {
    Kind.SHORT_CODE_LEASE: "54321",
    Kind.SHORT_CODE_MIGRATION: "12345",
    Kind.PORT_US: "+14155550100",
    Kind.PORT_CANADA: "+16475550100",
    Kind.PORT_TOLL_FREE: "+18885550100",
    Kind.PORT_INTERNATIONAL: "+447400123456",
}


def arrival(kind: Kind = Kind.PORT_US) -> OnboardingPath:
    return choose_path(NUMBERS[kind], kind, None)


def begun(kind: Kind = Kind.PORT_US, expected: date | None = None) -> Checklist:
    return Checklist.begun(arrival(kind), SERVICE, NOON, "ada", expected)


@st.composite
def checklists(draw: st.DrawFn) -> Checklist:
    """Checklists with some history, as operators leave them behind."""
    checklist = begun(
        draw(st.sampled_from(Kind)), draw(st.none() | st.dates(date(2026, 1, 9), date(2030, 1, 1)))
    )
    at = NOON
    for step in draw(
        st.lists(st.sampled_from((*checklist.process.names, "reject", "note", "expect")), max_size=8)
    ):
        at += draw(st.floats(0, 40 * DAY))
        if step == "reject":
            if not checklist.finished:
                checklist = checklist.rejected_for(draw(st.text(max_size=20)), at, "ada")
        elif step == "note":
            checklist = checklist.noted(draw(st.text(max_size=20)), at, "ben")
        elif step == "expect":
            checklist = checklist.expecting(draw(st.dates()), at, "ben")
        elif step not in checklist.done:
            checklist = checklist.advanced(step, at, "ada")
    return checklist
