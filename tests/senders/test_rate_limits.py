"""Rate limits by the second, daily caps, last uses, and the exchange with other workers."""

from __future__ import annotations

import gc
import sys
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.senders.availability import Availability, count_reply_segments
from sms_router.senders.cordons import Cordons
from sms_router.senders.models import NO_CONDITIONS, Decision, Sender, SenderKind
from sms_router.senders.rate_limits import RateLimiter, RateLimits, SenderLimit, SharedUsage, UsageDelta
from tests.senders.builders import NOON, FakeClock, sender

CODE = sender("12345")
LONG, OTHER = sender("+14155550001"), sender("+12125550003")
LONG_CODES = RateLimits({SenderKind.LONG_CODE: SenderLimit(1, 3)}, {"12345": SenderLimit(per_second=100)})
SLOW, FULL = "over its rate: 1 MPS", "at its daily cap: 3 segments"


def chosen(sender: Sender | None, *, per_recipient: bool = False, address: str | None = None) -> Decision:
    return Decision(sender, sender.address if sender else address, (), per_recipient)


def day_of(now: float) -> int:
    return int((now - 8 * 3600) // 86_400)


def test_one_segment_a_second_is_allowed_at_one_mps() -> None:
    clock = FakeClock()
    rates = RateLimiter(LONG_CODES, clock)
    rates.record_sent(chosen(LONG), 1)
    assert rates.over_rate() == {LONG.sid: SLOW}
    clock.now += 0.99
    assert rates.over_rate() == {LONG.sid: SLOW}
    clock.now += 0.02
    assert rates.over_rate() == {}
    rates.record_sent(chosen(OTHER), 1)
    assert rates.over_rate() == {OTHER.sid: SLOW}


def test_a_long_message_counts_with_all_its_segments() -> None:
    clock = FakeClock()
    rates = RateLimiter(LONG_CODES, clock)
    rates.record_sent(chosen(LONG), 2)
    clock.now += 1.5
    assert rates.over_rate() == {LONG.sid: SLOW}
    clock.now += 0.6
    assert rates.over_rate() == {}


def test_a_seconds_worth_of_segments_may_come_at_once() -> None:
    clock = FakeClock()
    rates = RateLimiter(LONG_CODES, clock)
    for _ in range(99):
        rates.record_sent(chosen(CODE), 1)
    assert rates.over_rate() == {}
    rates.record_sent(chosen(CODE), 1)
    assert rates.over_rate() == {CODE.sid: "over its rate: 100 MPS"}
    clock.now += 0.02
    assert rates.over_rate() == {}


@pytest.mark.parametrize("per_second", [0.2, 0.5, 3, 7.5, 100])
def test_over_a_minute_the_rate_is_not_exceeded(per_second: float) -> None:
    clock = FakeClock()
    rates = RateLimiter(RateLimits(by_number={"12345": SenderLimit(per_second)}), clock)
    count = 0
    for _ in range(60 * 200):
        if CODE.sid not in rates.over_rate():
            rates.record_sent(chosen(CODE), 1)
            count += 1
        clock.now += 0.005
    assert count == pytest.approx(60 * per_second, abs=max(1.0, per_second) + 1)


def test_a_cap_holds_until_midnight_pacific() -> None:
    """Noon UTC is four in the morning there, so that twenty hours are left."""
    clock = FakeClock()
    rates = RateLimiter(LONG_CODES, clock)
    rates.record_sent(chosen(LONG), 2)
    assert rates.capped() == {}
    rates.record_sent(chosen(LONG), 2)
    assert rates.capped() == {LONG.sid: FULL}
    assert rates.sent_today(LONG.sid) == 4
    clock.now += 71_999
    assert rates.capped() == {LONG.sid: FULL}
    clock.now += 1
    assert rates.capped() == {}
    assert rates.sent_today(LONG.sid) == 0
    rates.record_sent(chosen(LONG), 1)
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
    clock = FakeClock()
    clock.now = day.timestamp() + hours * 3600 - 1
    rates = RateLimiter(LONG_CODES, clock)
    assert rates.day_offset == hours * 3600
    rates.record_sent(chosen(LONG), 3)
    assert rates.capped() == {LONG.sid: FULL}
    clock.now += 1
    assert rates.capped() == {}


def test_a_numbers_rate_and_cap_each_replace_those_of_its_kind() -> None:
    limits = RateLimits(
        {SenderKind.LONG_CODE: SenderLimit(1, 2000)}, {LONG.address: SenderLimit(per_day=500)}
    )
    assert limits.limit_for(LONG) == SenderLimit(1, 500)
    assert limits.limit_for(OTHER) == SenderLimit(1, 2000)
    assert limits.limit_for(CODE) is None


def test_two_short_codes_with_the_same_digits_are_counted_separately() -> None:
    rates = RateLimiter(LONG_CODES, FakeClock())
    rates.record_sent(chosen(CODE), 200)
    assert set(rates.over_rate()) == {CODE.sid}
    assert sender("12345", "CA").sid not in rates.over_rate()


def test_a_number_in_no_pool_has_its_own_limit() -> None:
    rates = RateLimiter(LONG_CODES, FakeClock())
    decision = chosen(None, address="12345")
    assert rates.is_limited(decision)
    rates.record_sent(decision, 200)
    assert set(rates.over_rate()) == {"12345"}
    assert not rates.is_limited(chosen(None, address="+19995550000"))


def test_merge_adds_unreported_usage_to_what_all_workers_have_sent() -> None:
    clock = FakeClock()
    rates = RateLimiter(LONG_CODES, clock)
    rates.set_senders([CODE, LONG])
    rates.record_sent(chosen(LONG), 1)
    drained = rates.drain(10)
    assert drained == {LONG.sid: UsageDelta(1.0, 1)}
    rates.record_sent(chosen(LONG), 1)
    rates.merge([SharedUsage(LONG.sid, NOON, NOON + 1, day_of(NOON), 1)])
    assert rates.sent_today(LONG.sid) == 2
    rates.merge([SharedUsage(LONG.sid, NOON, NOON + 5, day_of(NOON), 2)])
    assert rates.capped() == {LONG.sid: FULL}
    clock.now += 5
    assert LONG.sid in rates.over_rate()
    clock.now += 1.1
    assert rates.over_rate() == {}
    assert rates.drain(10) == {LONG.sid: UsageDelta(1.0, 1)}
    assert not rates.has_unreported


def test_merge_never_decreases_a_count_and_ignores_other_days() -> None:
    clock = FakeClock()
    rates = RateLimiter(LONG_CODES, clock)
    rates.set_senders([LONG])
    rates.merge([SharedUsage(LONG.sid, NOON, 0.0, day_of(NOON), 2)])
    rates.merge([SharedUsage(LONG.sid, NOON, 0.0, day_of(NOON), 0)])
    assert rates.sent_today(LONG.sid) == 2
    rates.merge([SharedUsage(LONG.sid, NOON, 0.0, day_of(NOON) - 1, 900)])
    assert rates.capped() == {}
    rates.merge([SharedUsage("PN of another account", NOON, NOON + 60, day_of(NOON), 900)])
    assert (rates.over_rate(), rates.capped()) == ({}, {})


def test_restored_usage_is_drained_again_and_drain_is_bounded() -> None:
    rates = RateLimiter(LONG_CODES, FakeClock())
    for number in range(5):
        rates.record_sent(chosen(sender(f"+1212555000{number}")), 1)
    first = rates.drain(3)
    assert len(first) == 3
    rates.record_sent(chosen(sender("+12125550000")), 1)
    rates.restore(first)
    rest = rates.drain(10)
    assert rest[sender("+12125550000").sid] == UsageDelta(2.0, 2)
    assert sum(count.segments for count in rest.values()) == 6


def test_without_limits_only_a_choice_among_equal_senders_is_recorded() -> None:
    clock = FakeClock()
    rates = RateLimiter(RateLimits(), clock)
    availability = Availability(Cordons(clock), rates)
    availability.record_sent(chosen(CODE), ("hello",))
    assert not rates.has_unreported
    assert availability.conditions() is NO_CONDITIONS
    availability.record_sent(chosen(LONG, per_recipient=True), ("hello",))
    assert rates.drain(10) == {LONG.sid: UsageDelta()}
    assert availability.conditions().used == {LONG.sid: NOON}


def test_texts_count_their_segments_and_an_mms_counts_one() -> None:
    assert count_reply_segments(("x" * 160,), is_mms=False) == 1
    assert count_reply_segments(("x" * 161, "y"), is_mms=False) == 3
    assert count_reply_segments(("x" * 161, "y"), is_mms=True) == 2
    assert count_reply_segments((), is_mms=True) == 1
    assert count_reply_segments(("é" * 1000 + "ж",), is_mms=False) == 15
    clock = FakeClock()
    rates = RateLimiter(LONG_CODES, clock)
    Availability(Cordons(clock), rates).record_sent(chosen(LONG), ("x" * 161, "y"))
    assert rates.sent_today(LONG.sid) == 3


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.floats(0, 3)), min_size=1, max_size=60))
def test_a_sender_is_over_its_rate_with_more_than_a_second_of_work(
    steps: list[tuple[int, int, float]],
) -> None:
    """The incremental state equals a simple sum."""
    clock = FakeClock()
    rates = RateLimiter(RateLimits({SenderKind.LONG_CODE: SenderLimit(per_second=2)}), clock)
    senders = [sender(f"+1212555000{number}") for number in range(4)]
    busy = dict.fromkeys((each.sid for each in senders), 0.0)
    for who, segments, pause in steps:
        rates.record_sent(chosen(senders[who]), segments)
        busy[senders[who].sid] = max(clock.now, busy[senders[who].sid]) + segments / 2
        assert set(rates.over_rate()) == {sid for sid, until in busy.items() if until - 0.5 > clock.now}
        clock.now += pause
        assert set(rates.over_rate()) == {sid for sid, until in busy.items() if until - 0.5 > clock.now}


def test_ten_thousand_senders_cost_what_ten_do() -> None:
    count_reply_segments(("hello",), is_mms=False)  # fills the cache
    costs = []
    for count in (10, 10_000):
        clock = FakeClock()
        rates = RateLimiter(RateLimits({SenderKind.LONG_CODE: SenderLimit(1, 200)}), clock)
        availability = Availability(Cordons(clock), rates)
        senders = [sender(f"+1212{5_000_000 + number}") for number in range(count)]
        rates.set_senders(senders)
        for each in senders:
            rates.record_sent(chosen(each), 1)
        costs.append(calls(availability, chosen(senders[-1], per_recipient=True)))
    assert costs[0] == costs[1]


def calls(availability: Availability, decision: Decision) -> int:
    """Count the function calls for one message, without its selection."""
    number = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal number
        number += event in {"call", "c_call"}

    gc.disable()  # a collection would call finalizers of other tests
    sys.setprofile(count)
    try:
        availability.conditions()
        availability.record_sent(decision, ("hello",))
    finally:
        sys.setprofile(None)
        gc.enable()
    return number


@pytest.mark.parametrize("jump", [-86_400, -3600, 3600])
def test_a_changed_calendar_does_not_change_rates(jump: float) -> None:
    clock, calendar = FakeClock(), FakeClock()
    rates = RateLimiter(LONG_CODES, clock, calendar)
    rates.record_sent(chosen(LONG), 1)
    calendar.now += jump
    assert rates.over_rate() == {LONG.sid: SLOW}
    clock.now += 1.01
    assert rates.over_rate() == {}


def test_daily_caps_follow_the_calendar() -> None:
    clock, calendar = FakeClock(), FakeClock()
    rates = RateLimiter(LONG_CODES, clock, calendar)
    rates.record_sent(chosen(LONG), 3)
    clock.now += 86_400
    assert rates.capped() == {LONG.sid: FULL}
    calendar.now += 86_400
    assert rates.capped() == {}


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (chosen(LONG), True),
        (chosen(CODE), True),
        (chosen(sender("+18885550010")), False),
        (chosen(None, address="12345"), True),
        (chosen(None, address="+14155550001"), False),
        (chosen(None), False),
    ],
)
@pytest.mark.parametrize("known", [False, True])
def test_a_decision_is_limited_where_its_sender_has_a_limit(
    decision: Decision, expected: bool, known: bool
) -> None:
    rates = RateLimiter(LONG_CODES, FakeClock())
    availability = Availability(Cordons(FakeClock()), rates)
    if known:
        rates.set_senders([LONG, CODE, sender("+18885550010")])
    assert rates.is_limited(decision) is availability.is_limited(decision) is expected
    without = Availability(Cordons(FakeClock()), RateLimiter(RateLimits(), FakeClock()))
    assert without.is_limited(decision) is False


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (RateLimits(), False),
        (RateLimits(by_kind={SenderKind.LONG_CODE: SenderLimit(1)}), True),
        (RateLimits(by_number={"12345": SenderLimit(1)}), True),
    ],
)
def test_limits_of_a_kind_or_of_a_number_are_limits(limits: RateLimits, expected: bool) -> None:
    assert RateLimiter(limits, FakeClock()).has_limits is expected


def test_a_decision_without_a_sender_counts_nowhere() -> None:
    rates = RateLimiter(LONG_CODES, FakeClock())
    rates.record_sent(chosen(None, per_recipient=True), 2)
    assert (rates.has_unreported, rates.used) == (False, {})


def test_an_mms_is_one_segment_of_its_sender_and_its_further_texts_count() -> None:
    rates = RateLimiter(LONG_CODES, FakeClock())
    Availability(Cordons(FakeClock()), rates).record_sent(chosen(LONG), ("x" * 161, "y" * 161), is_mms=True)
    assert rates.sent_today(LONG.sid) == 3


def test_a_sender_with_a_cap_alone_is_never_busy() -> None:
    rates = RateLimiter(RateLimits({SenderKind.LONG_CODE: SenderLimit(per_day=2)}), FakeClock())
    rates.record_sent(chosen(LONG), 2)
    assert rates.drain(1) == {LONG.sid: UsageDelta(0.0, 2)}
    conditions = Availability(Cordons(FakeClock()), rates).conditions()
    assert conditions.objection(LONG.sid) == "at its daily cap: 2 segments"


def test_a_use_without_segments_is_no_usage_of_a_limit() -> None:
    rates = RateLimiter(LONG_CODES, FakeClock())
    rates.record_sent(chosen(LONG, per_recipient=True))
    assert (dict(rates.over_rate()), rates.sent_today(LONG.sid)) == ({}, 0)
    assert rates.drain(1) == {LONG.sid: UsageDelta(0.0, 0)}


def test_unreported_usage_adds_up_and_is_bounded_by_the_number_of_senders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sms_router.senders.rate_limits.MAX_UNREPORTED", 2)
    rates = RateLimiter(LONG_CODES, FakeClock())
    for number in (0, 1, 2, 0):
        rates.record_sent(chosen(sender(f"+1212555000{number}")), 1)
    assert rates.drain(9) == {
        "+12125550000/US": UsageDelta(2.0, 2),
        "+12125550001/US": UsageDelta(1.0, 1),
    }


def test_a_sender_may_be_used_again_at_the_very_end_of_its_wait() -> None:
    clock = FakeClock()
    rates = RateLimiter(LONG_CODES, clock)
    rates.record_sent(chosen(LONG), 1)
    clock.now += 1
    assert rates.over_rate() == {}


def test_merge_takes_the_later_use_and_goes_on_after_a_sender_without_a_limit() -> None:
    clock = FakeClock()
    rates = RateLimiter(LONG_CODES, clock)
    rates.set_senders([LONG])
    for last_used, expected in ((0.5, 0.5), (5.0, 5.0), (4.0, 5.0)):
        free = SharedUsage("PN without a limit", last_used, 0.0, day_of(NOON), 1)
        rates.merge([free, SharedUsage(LONG.sid, last_used, NOON + 3, day_of(NOON), 1)])
        assert rates.used == {"PN without a limit": expected, LONG.sid: expected}
    assert rates.sent_today(LONG.sid) == 1
    assert rates.over_rate() == {LONG.sid: SLOW}


def test_merge_uses_the_limit_of_a_sender_that_this_worker_has_used() -> None:
    rates = RateLimiter(LONG_CODES, FakeClock())
    rates.record_sent(chosen(LONG), 1)
    rates.merge([SharedUsage(LONG.sid, NOON, NOON, day_of(NOON), 2)])
    assert rates.capped() == {LONG.sid: FULL}
    assert Availability(Cordons(FakeClock()), rates).conditions().over_rate == {LONG.sid: SLOW}
