"""A number that loses too much is told of once when it begins and once when it is over."""

from __future__ import annotations

import logging
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.senders.failure_monitor import FailureMonitor, WarningRule
from tests.senders.worlds import Clock

RULE = WarningRule(share=0.25, at_least=20, window=600)


def failing(failures: FailureMonitor) -> list[tuple[str, str]]:
    failures.look()
    return [(each.sender, each.fault) for each in failures.failing()]


def saw(
    failures: FailureMonitor, arrived: int, lost: int, sender: str = "12345", fault: str = "sender"
) -> None:
    for _ in range(arrived):
        failures.record(sender, None)
    for _ in range(lost):
        failures.record(sender, fault)


def said(failures: FailureMonitor, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    failures.look()
    for news in failures.drain_alerts():
        news.log()
    return caplog.messages


def test_it_is_said_once_when_it_begins_and_once_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    failures = FailureMonitor(RULE, clock)
    saw(failures, 30, 9)
    assert said(failures, caplog) == []
    saw(failures, 0, 30)
    (told,) = said(failures, caplog)
    assert told == "12345 loses 57% of what it sends (class sender): 39 of 69 in the last 600 s"
    assert [str(each) for each in failures.failing()] == [
        "12345 loses 57% of what it sends (class sender): 39 of 69 in the last 600 s"
    ]
    clock.now += 601
    assert said(failures, caplog) == ["12345 no longer loses too much (class sender)"]
    assert failing(failures) == []
    assert said(failures, caplog) == []


def test_few_receipts_say_nothing() -> None:
    failures = FailureMonitor(RULE, Clock())
    saw(failures, 0, 19)
    assert failing(failures) == []
    saw(failures, 0, 1)
    assert failing(failures) == [("12345", "sender")]


def test_much_traffic_with_many_failures_is_no_warning_while_the_share_is_small() -> None:
    failures = FailureMonitor(RULE, Clock())
    for _ in range(100):
        saw(failures, 5, 1)
    assert failing(failures) == []


def test_numbers_and_classes_are_told_apart() -> None:
    failures = FailureMonitor(RULE, Clock())
    saw(failures, 12, 4, fault="filtered")
    saw(failures, 0, 4, fault="transient")
    saw(failures, 40, 0, sender="67890")
    assert failing(failures) == []
    saw(failures, 0, 3, fault="filtered")
    assert failing(failures) == [("12345", "filtered")]


def test_it_goes_on_until_half_of_the_share() -> None:
    failures = FailureMonitor(RULE, Clock())
    saw(failures, 15, 5)
    assert failing(failures) == [("12345", "sender")]
    saw(failures, 20, 0)
    assert failing(failures) == [("12345", "sender")]
    saw(failures, 1, 0)
    assert failing(failures) == []


def test_old_receipts_are_forgotten_and_with_them_the_number() -> None:
    clock = Clock()
    failures = FailureMonitor(RULE, clock)
    saw(failures, 0, 15)
    clock.now += 601
    saw(failures, 0, 15)
    assert failing(failures) == []
    assert [each.receipts for each in failures.shares()] == [15]
    clock.now += 601
    failures.look()
    assert list(failures.shares()) == []


@given(
    st.lists(
        st.tuples(st.sampled_from([None, "sender", "filtered"]), st.integers(0, 200)), min_size=1, max_size=60
    )
)
def test_the_window_holds_what_a_recount_of_the_last_receipts_gives(
    steps: list[tuple[str | None, int]],
) -> None:
    clock = Clock()
    failures = FailureMonitor(WarningRule(0.5, 1, 600), clock)
    seen: list[tuple[int, str | None]] = []
    for fault, pause in steps:
        clock.now += pause
        failures.record("12345", fault)
        seen.append((int(clock.now / 30), fault))
        kept = [each for part, each in seen if part > int(clock.now / 30) - 20]
        for each in failures.shares():
            assert (each.lost, each.receipts) == (kept.count(each.fault), len(kept))


def test_what_others_have_seen_counts_and_is_not_told_back() -> None:
    failures = FailureMonitor(RULE, Clock())
    failures.record("12345", None)
    failures.learn(Counter({("12345", None): 10, ("12345", "sender"): 10}))
    assert failing(failures) == [("12345", "sender")]
    taken = failures.take_untold()
    assert taken == {("12345", None): 1}
    failures.record("12345", "sender")
    failures.give_back(taken)
    assert failures.take_untold() == {("12345", None): 1, ("12345", "sender"): 1}
    assert not failures.take_untold()
