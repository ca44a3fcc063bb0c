"""When rules hold: windows of the week by the clock of a Service."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.routing.keywords.schedule import ALWAYS, DAY, WEEK, Schedule, Timetable, TimeZones

MON, SAT, SUN = 0, 5 * DAY, 6 * DAY


def at(day: int, hours: int, minutes: int = 0) -> int:
    return day + 60 * hours + minutes


@pytest.mark.parametrize(
    ("days", "begins", "ends", "spans"),
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
def test_a_window_is_read(
    days: list[str], begins: str, ends: str, spans: tuple[tuple[int, int], ...]
) -> None:
    assert Schedule.window(days, begins, ends).spans == spans


@pytest.mark.parametrize(
    ("days", "begins", "ends", "wrong"),
    [
        (["mo"], "09:00", "17:00", 'days: "mo" should be a day like "mon"'),
        (["mon-"], "09:00", "17:00", 'days: "mon-" should be a day'),
        (["mon"], "9:00", "17:00", 'from: "9:00" should be a time from "00:00" to "24:00"'),
        (["mon"], "09:00", "24:01", 'to: "24:01" should be a time'),
        (["mon"], "09:60", "17:00", 'from: "09:60" should be a time'),
        (["mon"], "09:00", "09:00", "is no time at all"),
        (["mon"], "24:00", "09:00", "is no time at all"),
    ],
)
def test_a_window_that_is_none_is_told(days: list[str], begins: str, ends: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        Schedule.window(days, begins, ends)
    assert wrong in str(caught.value)


TIMES = st.tuples(st.integers(0, 23), st.sampled_from([0, 1, 30, 59])).map(
    lambda time: f"{time[0]:02}:{time[1]:02}"
)
WINDOWS = st.builds(
    lambda days, begins, ends: (days, begins, ends),
    st.lists(st.sampled_from(["mon", "tue", "fri-mon", "sun"]), max_size=3),
    TIMES,
    TIMES,
).filter(lambda window: window[1] != window[2])
SOME = st.lists(WINDOWS.map(lambda window: Schedule.window(*window)), max_size=3).map(Schedule.of)
MINUTES = range(0, WEEK, 7)


@given(SOME)
def test_spans_are_in_order_and_apart(hours: Schedule) -> None:
    edges = [edge for span in hours.spans for edge in span]
    assert edges == sorted(set(edges))
    assert not edges or 0 <= edges[0] < edges[-1] <= WEEK


@given(SOME, SOME)
def test_hours_together_are_the_hours_of_each(one: Schedule, other: Schedule) -> None:
    both = Schedule.of([one, other])
    assert all(both.admit(minute) == (one.admit(minute) or other.admit(minute)) for minute in MINUTES)


@given(SOME, SOME)
def test_covering_and_overlapping_mean_what_they_say(one: Schedule, other: Schedule) -> None:
    edges = {edge for hours in (one, other) for span in hours.spans for edge in span}
    minutes = {0, *edges, *(edge - 1 for edge in edges)} & set(range(WEEK))
    here, there = (
        {minute for minute in minutes if not hours or hours.admit(minute)} for hours in (one, other)
    )
    assert one.overlap(other) == bool(here & there)
    assert one.cover(other) == (there <= here)


@given(st.lists(SOME, max_size=4), st.integers(0, WEEK - 1))
def test_one_minute_stands_for_all_in_which_the_same_hours_hold(several: list[Schedule], minute: int) -> None:
    timetable = Timetable(several)
    assert bool(timetable) == any(several)
    if timetable:
        turn = timetable.transition_before(minute)
        assert turn <= minute
        assert [each.admit(turn) for each in several] == [each.admit(minute) for each in several]


def test_always_is_no_restriction() -> None:
    assert not ALWAYS
    assert not Timetable([ALWAYS])
    assert Schedule.of([]) == ALWAYS


def test_hours_are_told_as_they_are_written() -> None:
    hours = Schedule.of(
        [Schedule.window(["mon-fri"], "09:00", "17:00"), Schedule.window([], "22:00", "06:00")]
    )
    assert str(hours) == "mon-fri 09:00-17:00, every day 22:00-06:00"


SERVICE = "MG" + "0a" * 16
ZONES = TimeZones("America/New_York", {SERVICE: "Europe/Berlin"})


@pytest.mark.parametrize(
    ("service", "moment", "minute"),
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
def test_the_minute_is_that_of_the_clock_on_the_services_wall(
    service: str | None, moment: str, minute: int
) -> None:
    epoch = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    assert ZONES.minute(service, epoch) == minute
    assert ZONES.local(service, epoch).minute == minute % 60
