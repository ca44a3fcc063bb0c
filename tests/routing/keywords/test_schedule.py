"""Opening hours: windows of the week in the time zone of a Service."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.routing.keywords.schedule import (
    ALWAYS,
    DateLike,
    Schedule,
    Timetable,
    TimeZones,
    minute_of,
)

DAY, WEEK = 1440, 10_080
"""Minutes."""
MON, SAT, SUN = 0, 5 * DAY, 6 * DAY


def at(day: int, hours: int, minutes: int = 0) -> int:
    return day + 60 * hours + minutes


@pytest.mark.parametrize(
    ("days", "start", "end", "spans"),
    [
        (["mon"], "09:00", "17:00", ((540, 1020),)),
        (["mon", "wed"], "09:00", "17:00", ((540, 1020), (2 * DAY + 540, 2 * DAY + 1020))),
        (["mon-wed"], "00:00", "24:00", ((0, 3 * DAY),)),
        (["Saturday-Mon"], "00:00", "24:00", ((0, DAY), (SAT, WEEK))),
        ([], "00:00", "24:00", ((0, WEEK),)),
        (["mon"], "22:00", "06:00", ((1320, DAY + 360),)),
        (["sun"], "22:00", "06:00", ((0, 360), (SUN + 1320, WEEK))),
        (["mon-tue", "tue", "tuesday"], "08:00", "09:00", ((480, 540), (DAY + 480, DAY + 540))),
        (["sun"], "12:00", "00:00", ((SUN + 720, WEEK),)),
    ],
)
def test_a_window_is_parsed_into_spans_of_the_week(
    days: list[str], start: str, end: str, spans: tuple[tuple[int, int], ...]
) -> None:
    assert Schedule.window(days, start, end).spans == spans


@pytest.mark.parametrize(
    ("days", "start", "end", "wrong"),
    [
        (["mo"], "09:00", "17:00", 'days: "mo" should be a day like "mon"'),
        (["mon-"], "09:00", "17:00", 'days: "mon-" should be a day'),
        (["mon"], "9:00", "17:00", 'from: "9:00" should be a time from "00:00" to "24:00"'),
        (["mon"], "09:00", "24:01", 'to: "24:01" should be a time'),
        (["mon"], "09:60", "17:00", 'from: "09:60" should be a time'),
        (["mon"], "09:00", "09:00", "is an empty window"),
        (["mon"], "24:00", "09:00", "is an empty window"),
    ],
)
def test_an_invalid_window_is_refused_with_the_key_and_the_format(
    days: list[str], start: str, end: str, wrong: str
) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        Schedule.window(days, start, end)
    assert wrong in str(caught.value)


TIMES = st.tuples(st.integers(0, 23), st.sampled_from([0, 1, 30, 59])).map(
    lambda time: f"{time[0]:02}:{time[1]:02}"
)
WINDOWS = st.builds(
    lambda days, start, end: (days, start, end),
    st.lists(st.sampled_from(["mon", "tue", "fri-mon", "sun"]), max_size=3),
    TIMES,
    TIMES,
).filter(lambda window: window[1] != window[2])
SCHEDULES = st.lists(WINDOWS.map(lambda window: Schedule.window(*window)), max_size=3).map(Schedule.of)
MINUTES = range(0, WEEK, 7)


@given(SCHEDULES)
def test_spans_are_sorted_and_do_not_touch(schedule: Schedule) -> None:
    edges = [edge for span in schedule.spans for edge in span]
    assert edges == sorted(set(edges))
    assert not edges or 0 <= edges[0] < edges[-1] <= WEEK


@given(SCHEDULES, SCHEDULES)
def test_a_union_admits_the_minutes_of_each_schedule(one: Schedule, other: Schedule) -> None:
    both = Schedule.of([one, other])
    assert all(both.admits(minute) == (one.admits(minute) or other.admits(minute)) for minute in MINUTES)


@given(SCHEDULES, SCHEDULES)
def test_covers_and_overlaps_agree_with_the_admitted_minutes(one: Schedule, other: Schedule) -> None:
    edges = {edge for schedule in (one, other) for span in schedule.spans for edge in span}
    minutes = {0, *edges, *(edge - 1 for edge in edges)} & set(range(WEEK))
    of_one, of_other = (
        {minute for minute in minutes if not schedule or schedule.admits(minute)} for schedule in (one, other)
    )
    assert one.overlaps(other) == bool(of_one & of_other)
    assert one.covers(other) == (of_other <= of_one)


@given(st.lists(SCHEDULES, max_size=4), st.integers(0, WEEK - 1))
def test_all_minutes_between_two_transitions_are_admitted_alike(
    schedules: list[Schedule], minute: int
) -> None:
    timetable = Timetable(schedules)
    assert bool(timetable) == any(schedules)
    if timetable:
        transition = timetable.transition_before(minute)
        assert transition <= minute
        assert [one.admits(transition) for one in schedules] == [one.admits(minute) for one in schedules]


def test_a_schedule_without_windows_restricts_nothing() -> None:
    assert not ALWAYS
    assert not Timetable([ALWAYS])
    assert Schedule.of([]) == ALWAYS


def test_a_schedule_is_described_as_it_is_written() -> None:
    schedule = Schedule.of(
        [Schedule.window(["mon-fri"], "09:00", "17:00"), Schedule.window([], "22:00", "06:00")]
    )
    assert str(schedule) == "mon-fri 09:00-17:00, every day 22:00-06:00"


SERVICE = "MG" + "0a" * 16
ZONES = TimeZones("America/New_York", {SERVICE: "Europe/Berlin"})


@pytest.mark.parametrize(
    ("service", "utc", "minute"),
    [
        (SERVICE, "2026-01-05T08:30", at(MON, 9, 30)),  # winter: an hour before UTC
        (SERVICE, "2026-07-06T07:30", at(MON, 9, 30)),  # summer: two
        (SERVICE, "2026-03-29T00:59", at(SUN, 1, 59)),  # the hour that summer time skips
        (SERVICE, "2026-03-29T01:00", at(SUN, 3)),
        (SERVICE, "2026-10-25T00:30", at(SUN, 2, 30)),  # the hour that it repeats
        (SERVICE, "2026-10-25T01:30", at(SUN, 2, 30)),
        (None, "2026-01-05T04:59", at(SUN, 23, 59)),
        ("MG" + "0b" * 16, "2026-07-06T04:00", at(MON, 0)),
    ],
)
def test_the_minute_of_the_week_is_in_the_services_time_zone(
    service: str | None, utc: str, minute: int
) -> None:
    epoch = datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp()
    assert ZONES.minute_at(service, epoch) % WEEK == minute
    assert ZONES.local_time(service, epoch).minute == minute % 60


def minute_on(text: str) -> int:
    return minute_of(datetime.fromisoformat(text))


WEEKDAYS = Schedule.window(["mon-fri"], "09:00", "17:00")


@pytest.mark.parametrize(
    ("weekly", "opens", "closes", "moment", "is_open"),
    [
        (ALWAYS, "2026-12-01", "2026-12-24", "2026-11-30 23:59", False),
        (ALWAYS, "2026-12-01", "2026-12-24", "2026-12-01 00:00", True),
        (ALWAYS, date(2026, 12, 1), date(2026, 12, 24), "2026-12-24 23:59", True),
        (ALWAYS, date(2026, 12, 1), date(2026, 12, 24), "2026-12-25 00:00", False),
        (ALWAYS, "2026-12-01", "2026-12-24", "2026-12-24 23:59", True),
        (ALWAYS, "2026-12-01", "2026-12-24", "2026-12-25 00:00", False),
        (ALWAYS, None, "2026-12-24 18:00", "2026-12-24 17:59", True),
        (ALWAYS, None, "2026-12-24 18:00", "2026-12-24 18:00", False),
        (ALWAYS, datetime(2026, 12, 24, 18), None, "2026-12-24 17:59", False),
        (ALWAYS, datetime(2026, 12, 24, 18), None, "2026-12-24 18:00", True),
        (WEEKDAYS, "2026-12-01", None, "2026-11-30 10:00", False),
        (WEEKDAYS, "2026-12-01", None, "2026-12-01 10:00", True),
        (WEEKDAYS, "2026-12-01", None, "2026-12-05 10:00", False),
    ],
)
def test_a_rule_applies_between_its_dates(
    weekly: Schedule, opens: DateLike | None, closes: DateLike | None, moment: str, is_open: bool
) -> None:
    schedule = weekly.between(opens, closes)
    assert schedule
    assert schedule.admits(minute_on(moment)) is is_open
    timetable = Timetable([schedule, WEEKDAYS])
    assert schedule.admits(timetable.transition_before(minute_on(moment))) is is_open
    assert timetable


def test_a_week_begins_with_a_transition() -> None:
    timetable = Timetable([Schedule.window(["tue"], "09:00", "17:00")])
    monday = 5 * WEEK
    assert [
        timetable.transition_before(monday + minute) for minute in (0, DAY + 539, DAY + 540, WEEK - 1)
    ] == [
        monday,
        monday,
        monday + DAY + 540,
        monday + DAY + 1020,
    ]


def test_a_service_without_a_zone_has_the_default_one() -> None:
    zones = TimeZones("America/New_York", {SERVICE: "Europe/Berlin"})
    assert [zones.zone_of(service).key for service in (SERVICE, "MG2", None)] == [
        "Europe/Berlin",
        "America/New_York",
        "America/New_York",
    ]
    assert TimeZones().zone_of(None).key == "UTC"


def test_dates_are_compared() -> None:
    may, june = ALWAYS.between("2026-05-01", "2026-05-31"), ALWAYS.between("2026-06-01", None)
    first = ALWAYS.between("2026-05-01", "2026-05-07")
    assert not may.overlaps(june)
    assert may.overlaps(first)
    assert (may.covers(first), first.covers(may), ALWAYS.covers(may), may.covers(ALWAYS)) == (
        True,
        False,
        True,
        False,
    )
    assert str(WEEKDAYS.between("2026-05-01", None)) == "mon-fri 09:00-17:00, from 2026-05-01"
    assert str(ALWAYS.between("2026-05-01", "2026-05-02")) == "from 2026-05-01 to 2026-05-02"


@pytest.mark.parametrize(
    ("opens", "closes", "mistake"),
    [
        ("tomorrow", None, 'opens: tomorrow should be a local date like "2026-12-24"'),
        (None, "2026-12-24T10:00+01:00", "closes: 2026-12-24T10:00\\+01:00 should be a local date"),
        ("2026-12-24", "2026-12-23", "closes: 2026-12-23 is not after opens: 2026-12-24"),
    ],
)
def test_a_wrong_date_is_refused(opens: str | None, closes: str | None, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        ALWAYS.between(opens, closes)
