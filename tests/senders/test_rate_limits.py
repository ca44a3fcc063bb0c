"""What a worker counts: rates by the second, caps by the day, last uses; nothing where nothing is limited."""

from __future__ import annotations

import gc
import sys
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.senders.availability import Availability, segments_of
from sms_router.senders.conditions import NO_CONDITIONS
from sms_router.senders.cordons import Cordons
from sms_router.senders.decision import Decision
from sms_router.senders.limits import Limits, SenderLimit
from sms_router.senders.models import Sender, SenderKind
from sms_router.senders.rate_limits import Count, RateLimiter, Reported
from tests.senders.worlds import NOON, Clock, sender

CODE = sender("12345")
LONG, OTHER = sender("+14155550001"), sender("+12125550003")
LONG_CODES = Limits({SenderKind.LONG_CODE: SenderLimit(1, 3)}, {"12345": SenderLimit(per_second=100)})
SLOW, FULL = "over its rate: 1 a second", "has sent its 3 of today"


def chosen(who: Sender | None, *, personal: bool = False, address: str | None = None) -> Decision:
    return Decision.of(who, who.address if who else address, (), personal=personal)


def day_of(now: float) -> int:
    return int((now - 8 * 3600) // 86_400)


def test_one_a_second_is_one_a_second() -> None:
    clock = Clock()
    rates = RateLimiter(LONG_CODES, clock)
    rates.sent(chosen(LONG), 1)
    assert rates.over_rate() == {LONG.sid: SLOW}
    clock.now += 0.99
    assert rates.over_rate() == {LONG.sid: SLOW}
    clock.now += 0.02
    assert rates.over_rate() == {}
    rates.sent(chosen(OTHER), 1)
    assert rates.over_rate() == {OTHER.sid: SLOW}


def test_a_long_text_counts_with_all_its_segments() -> None:
    clock = Clock()
    rates = RateLimiter(LONG_CODES, clock)
    rates.sent(chosen(LONG), 2)
    clock.now += 1.5
    assert rates.over_rate() == {LONG.sid: SLOW}
    clock.now += 0.6
    assert rates.over_rate() == {}


def test_a_hundred_a_second_may_come_at_once() -> None:
    clock = Clock()
    rates = RateLimiter(LONG_CODES, clock)
    for _ in range(99):
        rates.sent(chosen(CODE), 1)
    assert rates.over_rate() == {}
    rates.sent(chosen(CODE), 1)
    assert rates.over_rate() == {CODE.sid: "over its rate: 100 a second"}
    clock.now += 0.02
    assert rates.over_rate() == {}


@pytest.mark.parametrize("per_second", [0.2, 0.5, 3, 7.5, 100])
def test_over_a_minute_the_rate_is_kept(per_second: float) -> None:
    clock = Clock()
    rates = RateLimiter(Limits(by_number={"12345": SenderLimit(per_second)}), clock)
    count = 0
    for _ in range(60 * 200):
        if CODE.sid not in rates.over_rate():
            rates.sent(chosen(CODE), 1)
            count += 1
        clock.now += 0.005
    assert count == pytest.approx(60 * per_second, abs=max(1.0, per_second) + 1)


def test_a_cap_holds_until_midnight_pacific() -> None:
    """Noon UTC is four in the morning there, so that twenty hours are left."""
    clock = Clock()
    rates = RateLimiter(LONG_CODES, clock)
    rates.sent(chosen(LONG), 2)
    assert rates.capped() == {}
    rates.sent(chosen(LONG), 2)
    assert rates.capped() == {LONG.sid: FULL}
    assert rates.sent_today(LONG.sid) == 4
    clock.now += 71_999
    assert rates.capped() == {LONG.sid: FULL}
    clock.now += 1
    assert rates.capped() == {}
    assert rates.sent_today(LONG.sid) == 0
    rates.sent(chosen(LONG), 1)
    assert (rates.capped(), rates.sent_today(LONG.sid)) == ({}, 1)


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        (datetime(2026, 3, 7, tzinfo=UTC), 8),
        (datetime(2026, 3, 9, tzinfo=UTC), 7),
        (datetime(2026, 7, 1, tzinfo=UTC), 7),
        (datetime(2026, 11, 2, tzinfo=UTC), 8),
    ],
)
def test_a_day_begins_at_seven_or_eight_utc_by_the_season(day: datetime, hours: int) -> None:
    clock = Clock()
    clock.now = day.timestamp() + hours * 3600 - 1
    rates = RateLimiter(LONG_CODES, clock)
    assert rates.day_begins == hours * 3600
    rates.sent(chosen(LONG), 3)
    assert rates.capped() == {LONG.sid: FULL}
    clock.now += 1
    assert rates.capped() == {}


def test_what_is_said_of_a_number_goes_before_its_kind_each_limit_by_itself() -> None:
    limits = Limits({SenderKind.LONG_CODE: SenderLimit(1, 2000)}, {LONG.address: SenderLimit(per_day=500)})
    assert limits.of(LONG) == SenderLimit(1, 500)
    assert limits.of(OTHER) == SenderLimit(1, 2000)
    assert limits.of(CODE) is None


def test_two_short_codes_with_the_same_digits_have_their_own_rates() -> None:
    rates = RateLimiter(LONG_CODES, Clock())
    rates.sent(chosen(CODE), 200)
    assert set(rates.over_rate()) == {CODE.sid}
    assert sender("12345", "CA").sid not in rates.over_rate()


def test_a_number_that_no_pool_knows_is_limited_by_its_own_limit() -> None:
    rates = RateLimiter(LONG_CODES, Clock())
    decision = chosen(None, address="12345")
    assert rates.limits_sending(decision)
    rates.sent(decision, 200)
    assert set(rates.over_rate()) == {"12345"}
    assert not rates.limits_sending(chosen(None, address="+19995550000"))


def test_what_the_others_send_is_learned_and_what_they_do_not_know_yet_is_added() -> None:
    clock = Clock()
    rates = RateLimiter(LONG_CODES, clock)
    rates.know([CODE, LONG])
    rates.sent(chosen(LONG), 1)
    taken = rates.drain(10)
    assert taken == {LONG.sid: Count(1.0, 1)}
    rates.sent(chosen(LONG), 1)
    rates.merge([Reported(LONG.sid, NOON, NOON + 1, day_of(NOON), 1)])
    assert rates.sent_today(LONG.sid) == 2
    rates.merge([Reported(LONG.sid, NOON, NOON + 5, day_of(NOON), 2)])
    assert rates.capped() == {LONG.sid: FULL}
    clock.now += 5
    assert LONG.sid in rates.over_rate()
    clock.now += 1.1
    assert rates.over_rate() == {}
    assert rates.drain(10) == {LONG.sid: Count(1.0, 1)}
    assert not rates.has_untold


def test_nothing_is_unlearned_and_nothing_of_another_day_counts() -> None:
    clock = Clock()
    rates = RateLimiter(LONG_CODES, clock)
    rates.know([LONG])
    rates.merge([Reported(LONG.sid, NOON, 0.0, day_of(NOON), 2)])
    rates.merge([Reported(LONG.sid, NOON, 0.0, day_of(NOON), 0)])
    assert rates.sent_today(LONG.sid) == 2
    rates.merge([Reported(LONG.sid, NOON, 0.0, day_of(NOON) - 1, 900)])
    assert rates.capped() == {}
    rates.merge([Reported("PN of somebody else", NOON, NOON + 60, day_of(NOON), 900)])
    assert (rates.over_rate(), rates.capped()) == ({}, {})


def test_what_could_not_be_told_is_told_later_and_a_part_at_a_time() -> None:
    rates = RateLimiter(LONG_CODES, Clock())
    for number in range(5):
        rates.sent(chosen(sender(f"+1212555000{number}")), 1)
    first = rates.drain(3)
    assert len(first) == 3
    rates.sent(chosen(sender("+12125550000")), 1)
    rates.restore(first)
    rest = rates.drain(10)
    assert rest[sender("+12125550000").sid] == Count(2.0, 2)
    assert sum(count.segments for count in rest.values()) == 6


def test_without_limits_only_a_choice_among_equals_is_counted() -> None:
    clock = Clock()
    rates = RateLimiter(Limits(), clock)
    availability = Availability(Cordons(clock), rates)
    availability.record_sent(chosen(CODE), ("hello",))
    assert not rates.has_untold
    assert availability.conditions() is NO_CONDITIONS
    availability.record_sent(chosen(LONG, personal=True), ("hello",))
    assert rates.drain(10) == {LONG.sid: Count()}
    assert availability.conditions().used == {LONG.sid: NOON}


def test_segments_are_what_the_text_takes_and_pictures_are_one() -> None:
    assert segments_of(("x" * 160,), pictures=False) == 1
    assert segments_of(("x" * 161, "y"), pictures=False) == 3
    assert segments_of(("x" * 161, "y"), pictures=True) == 2
    assert segments_of((), pictures=True) == 1
    assert segments_of(("é" * 1000 + "ж",), pictures=False) == 15
    clock = Clock()
    rates = RateLimiter(LONG_CODES, clock)
    Availability(Cordons(clock), rates).record_sent(chosen(LONG), ("x" * 161, "y"))
    assert rates.sent_today(LONG.sid) == 3


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.floats(0, 3)), min_size=1, max_size=60))
def test_what_is_over_its_rate_is_what_has_more_than_a_second_of_work(
    steps: list[tuple[int, int, float]],
) -> None:
    """The answer that is kept up to date as time passes is the one that a simple sum gives."""
    clock = Clock()
    rates = RateLimiter(Limits({SenderKind.LONG_CODE: SenderLimit(per_second=2)}), clock)
    senders = [sender(f"+1212555000{number}") for number in range(4)]
    busy = dict.fromkeys((each.sid for each in senders), 0.0)
    for who, segments, pause in steps:
        rates.sent(chosen(senders[who]), segments)
        busy[senders[who].sid] = max(clock.now, busy[senders[who].sid]) + segments / 2
        assert set(rates.over_rate()) == {sid for sid, until in busy.items() if until - 0.5 > clock.now}
        clock.now += pause
        assert set(rates.over_rate()) == {sid for sid, until in busy.items() if until - 0.5 > clock.now}


def test_ten_thousand_senders_cost_what_ten_do() -> None:
    segments_of(("hello",), pictures=False)  # from now on remembered
    costs = []
    for count in (10, 10_000):
        clock = Clock()
        rates = RateLimiter(Limits({SenderKind.LONG_CODE: SenderLimit(1, 200)}), clock)
        availability = Availability(Cordons(clock), rates)
        senders = [sender(f"+1212{5_000_000 + number}") for number in range(count)]
        rates.know(senders)
        for each in senders:
            rates.sent(chosen(each), 1)
        costs.append(calls(availability, chosen(senders[-1], personal=True)))
    assert costs[0] == costs[1]


def calls(availability: Availability, decision: Decision) -> int:
    """How many function calls one message makes, apart from its choice."""
    made = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal made
        made += event in {"call", "c_call"}

    gc.disable()  # what other tests have left may be called at its end
    sys.setprofile(count)
    try:
        availability.conditions()
        availability.record_sent(decision, ("hello",))
    finally:
        sys.setprofile(None)
        gc.enable()
    return made


@pytest.mark.parametrize("jump", [-86_400, -3600, 3600])
def test_a_sender_is_busy_as_long_as_it_is_whatever_the_calendar_says(jump: float) -> None:
    clock, calendar = Clock(), Clock()
    rates = RateLimiter(LONG_CODES, clock, calendar)
    rates.sent(chosen(LONG), 1)
    calendar.now += jump
    assert rates.over_rate() == {LONG.sid: SLOW}
    clock.now += 1.01
    assert rates.over_rate() == {}


def test_the_calendar_tells_the_day() -> None:
    clock, calendar = Clock(), Clock()
    rates = RateLimiter(LONG_CODES, clock, calendar)
    rates.sent(chosen(LONG), 3)
    clock.now += 86_400
    assert rates.capped() == {LONG.sid: FULL}
    calendar.now += 86_400
    assert rates.capped() == {}
