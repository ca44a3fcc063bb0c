"""The dates of the numbers in onboarding as iCalendar (RFC 5545); pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sms_router.onboarding.checklist import Checklist

MAX_LINE_OCTETS = 75
"""RFC 5545, 3.1: longer lines are folded."""


@dataclass(frozen=True, slots=True)
class CalendarEvent:
    """An event of one whole day."""

    uid: str
    day: date
    summary: str
    description: str
    reminder_days: int = 1
    """How many days before it a reminder is shown."""


def calendar_events(checklist: Checklist) -> Iterator[CalendarEvent]:
    """Yield the dates of one number: live, configured before, its lease, the last day of the current step."""
    number, step = checklist.number, checklist.current_step
    see = f"sms-router onboarding show {number}"
    if checklist.expected is not None and not checklist.is_finished:
        yield CalendarEvent(f"live-{number}", checklist.expected, f"{number} goes live at Twilio", see)
    configure_by = checklist.configure_by
    if configure_by is not None:
        configure = next(step for step in checklist.process.steps if step.early)
        description = f"{configure.task.format(number=number)}\n{configure.otherwise}"
        summary = f"Last day to configure {number} at Twilio"
        yield CalendarEvent(f"configure-{number}", configure_by, summary, description, reminder_days=6)
    if checklist.renewal is not None and checklist.billing_day is not None:
        payer = "Twilio pays for it" if checklist.is_transferred else "its current holder pays for it"
        summary = f"The lease of {number} is renewed: {payer}"
        yield CalendarEvent(f"renewal-{number}", checklist.renewal, summary, see, reminder_days=30)
        if checklist.is_transferred:
            summary = f"Twilio bills the lease of {number}: the last day to cancel it is before"
            yield CalendarEvent(f"billing-{number}", checklist.billing_day, summary, see, reminder_days=14)
    if step is not None and checklist.step_due is not None:
        description = f"{step.task.format(number=number)}\nIf it is not done: {step.otherwise}"
        summary = f"{number}: last day of {step.name}, by {step.actor.label}"
        yield CalendarEvent(f"{step.name}-{number}", checklist.step_due, summary, description)


def render_calendar(checklists: Iterable[Checklist], at: float) -> bytes:
    """Return the calendar of some numbers.

    Args:
        checklists: of the numbers.
        at: seconds since the epoch, which every event has as its time stamp.

    """
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//sms-router//onboarding//EN"]
    for checklist in checklists:
        for event in calendar_events(checklist):
            lines += _event_lines(event, stamp)
    lines.append("END:VCALENDAR")
    return b"".join(_fold(line) for line in lines)


def _event_lines(event: CalendarEvent, stamp: str) -> list[str]:
    return [
        "BEGIN:VEVENT",
        f"UID:{event.uid}@sms-router",
        f"DTSTAMP:{stamp}",
        f"DTSTART;VALUE=DATE:{event.day:%Y%m%d}",
        f"DTEND;VALUE=DATE:{event.day + timedelta(days=1):%Y%m%d}",
        f"SUMMARY:{_escape(event.summary)}",
        f"DESCRIPTION:{_escape(event.description)}",
        "TRANSP:TRANSPARENT",
        "BEGIN:VALARM",
        "ACTION:DISPLAY",
        f"TRIGGER:-P{event.reminder_days}D",
        f"DESCRIPTION:{_escape(event.summary)}",
        "END:VALARM",
        "END:VEVENT",
    ]


def _escape(text: str) -> str:
    for character in "\\;,":
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", "\\n")


def _fold(line: str) -> bytes:
    """Return a line with its end; a continuation begins with a space, and no character is cut."""
    folded, length = bytearray(), 0
    for character in line:
        octets = character.encode()
        if length + len(octets) > MAX_LINE_OCTETS:
            folded += b"\r\n "
            length = 1
        folded += octets
        length += len(octets)
    return bytes(folded) + b"\r\n"
