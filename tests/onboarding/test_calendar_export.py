"""The calendar of numbers in onboarding."""

from __future__ import annotations

from datetime import date

from sms_router.onboarding.calendar_export import render_calendar
from sms_router.onboarding.steps import OnboardingKind
from tests.onboarding.builders import NOON, begun


def test_the_calendar_has_the_port_date_and_the_last_day_to_configure() -> None:
    checklist = begun(OnboardingKind.PORT_INTERNATIONAL, date(2026, 2, 10))
    lines = render_calendar([checklist], NOON).decode().split("\r\n")
    assert lines[:7] == [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//sms-router//onboarding//EN",
        "BEGIN:VEVENT",
        "UID:live-+447400123456@sms-router",
        "DTSTAMP:20260109T120000Z",
        "DTSTART;VALUE=DATE:20260210",
    ]
    assert "DTSTART;VALUE=DATE:20260209" in lines
    assert "SUMMARY:Last day to configure +447400123456 at Twilio" in lines
    assert lines[-2:] == ["END:VCALENDAR", ""]


def test_the_last_day_to_answer_a_quote_is_in_the_calendar() -> None:
    quoted = begun(OnboardingKind.PORT_INTERNATIONAL).complete_step("quote", NOON, "ada")
    text = render_calendar([quoted], NOON).decode()
    assert "DTSTART;VALUE=DATE:20260114" in text
    assert "SUMMARY:+447400123456: last day of fees\\, by you" in text
    assert all(len(line) <= 75 for line in text.encode().split(b"\r\n"))


def test_no_number_is_an_empty_calendar() -> None:
    assert render_calendar([], NOON).decode().split("\r\n")[-2:] == ["END:VCALENDAR", ""]
