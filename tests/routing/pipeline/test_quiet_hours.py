"""When a message that is no reply may leave, in the local time of its contact."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from sms_router.routing.keywords.schedule import TimeZones
from sms_router.routing.pipeline.quiet_hours import QuietHours

QUIET = QuietHours(
    "21:00-08:00", {"MG2": "", "MG3": "12:00-13:30"}, TimeZones("Europe/Oslo", {"MG4": "Asia/Tokyo"})
)


@pytest.mark.parametrize(
    ("service", "contact", "zone", "at", "end"),
    [
        ("MG1", "+14155550123", "America/Los_Angeles", "2026-07-01T20:59", "2026-07-01T20:59"),
        ("MG1", "+14155550123", "America/Los_Angeles", "2026-07-01T21:00", "2026-07-02T08:00"),
        ("MG1", "whatsapp:+12125550123", "America/New_York", "2026-07-02T07:59", "2026-07-02T08:00"),
        ("MG1", "+12125550123", "America/New_York", "2026-07-02T08:00", "2026-07-02T08:00"),
        ("MG1", "+4915112345678", "Europe/Berlin", "2026-10-24T23:00", "2026-10-25T08:00"),  # clocks change
        ("MG1", "+18005550123", "Europe/Oslo", "2026-07-01T23:00", "2026-07-02T08:00"),  # it may be anywhere
        ("MG1", "somebody", "Europe/Oslo", "2026-07-01T23:00", "2026-07-02T08:00"),
        ("MG4", "somebody", "Asia/Tokyo", "2026-07-01T23:00", "2026-07-02T08:00"),
        ("MG2", "+12125550123", "America/New_York", "2026-07-01T23:00", "2026-07-01T23:00"),
        ("MG3", "+12125550123", "America/New_York", "2026-07-01T12:10", "2026-07-01T13:30"),
        ("MG3", "+12125550123", "America/New_York", "2026-07-01T13:30", "2026-07-01T13:30"),
    ],
)
def test_a_message_waits_until_it_is_not_quiet_where_its_contact_lives(
    service: str, contact: str, zone: str, at: str, end: str
) -> None:
    moment, expected = (datetime.fromisoformat(time).replace(tzinfo=ZoneInfo(zone)) for time in (at, end))
    assert QUIET.end(service, contact, moment.timestamp()) == expected.timestamp()
