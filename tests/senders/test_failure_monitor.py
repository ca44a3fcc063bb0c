"""A sender that fails too often: one log line when the warning begins, one when it ends."""

from __future__ import annotations

import logging
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.senders.failure_monitor import FailureMonitor, WarningRule
from tests.senders.builders import FakeClock

RULE = WarningRule(share=0.25, at_least=20, window=600)


def failing(failures: FailureMonitor) -> list[tuple[str, str]]:
    failures.update()
    return [(each.sender, each.error_class) for each in failures.failing()]


def record_receipts(
    failures: FailureMonitor,
    delivered: int,
    failed: int,
    sender: str = "12345",
    error_class: str = "sender",
) -> None:
    for _ in range(delivered):
        failures.record(sender, None)
    for _ in range(failed):
        failures.record(sender, error_class)


def logged(failures: FailureMonitor, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    failures.update()
    for alert in failures.drain_alerts():
        alert.log()
    return caplog.messages


def test_a_warning_is_logged_once_at_its_begin_and_once_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = FakeClock()
    failures = FailureMonitor(RULE, clock)
    record_receipts(failures, 30, 9)
    assert logged(failures, caplog) == []
    record_receipts(failures, 0, 30)
    (line,) = logged(failures, caplog)
    assert line == "12345: 57% of its messages fail (error class sender): 39 of 69 in the last 600 s"
    assert [str(each) for each in failures.failing()] == [
        "12345: 57% of its messages fail (error class sender): 39 of 69 in the last 600 s"
    ]
    clock.now += 601
    assert logged(failures, caplog) == ["12345 no longer fails too often (error class sender)"]
    assert failing(failures) == []
    assert logged(failures, caplog) == []


FIGURES = "12345: 95% of its messages fail (error class sender): 21 of 22 in the last 600 s"


@pytest.mark.parametrize(("seconds", "figures"), [(570, [FIGURES]), (599, [FIGURES]), (600, [])])
def test_receipts_count_for_the_length_of_the_window(seconds: int, figures: list[str]) -> None:
    clock = FakeClock()
    failures = FailureMonitor(RULE, clock)
    record_receipts(failures, 0, 21)
    clock.now += seconds
    record_receipts(failures, 1, 0)
    assert [str(each) for each in failures.shares()] == figures


def test_few_receipts_give_no_warning() -> None:
    failures = FailureMonitor(RULE, FakeClock())
    record_receipts(failures, 0, 19)
    assert failing(failures) == []
    record_receipts(failures, 0, 1)
    assert failing(failures) == [("12345", "sender")]


def test_many_failures_with_a_small_share_give_no_warning() -> None:
    failures = FailureMonitor(RULE, FakeClock())
    for _ in range(100):
        record_receipts(failures, 5, 1)
    assert failing(failures) == []


def test_senders_and_error_classes_are_counted_separately() -> None:
    failures = FailureMonitor(RULE, FakeClock())
    record_receipts(failures, 12, 4, error_class="filtered")
    record_receipts(failures, 0, 4, error_class="transient")
    record_receipts(failures, 40, 0, sender="67890")
    assert failing(failures) == []
    record_receipts(failures, 0, 3, error_class="filtered")
    assert failing(failures) == [("12345", "filtered")]


def test_a_warning_ends_below_half_of_the_share() -> None:
    failures = FailureMonitor(RULE, FakeClock())
    record_receipts(failures, 15, 5)
    assert failing(failures) == [("12345", "sender")]
    record_receipts(failures, 20, 0)
    assert failing(failures) == [("12345", "sender")]
    record_receipts(failures, 1, 0)
    assert failing(failures) == []


def test_old_receipts_leave_the_window() -> None:
    clock = FakeClock()
    failures = FailureMonitor(RULE, clock)
    record_receipts(failures, 0, 15)
    clock.now += 601
    record_receipts(failures, 0, 15)
    assert failing(failures) == []
    assert [each.receipts for each in failures.shares()] == [15]
    clock.now += 601
    failures.update()
    assert list(failures.shares()) == []


@given(
    st.lists(
        st.tuples(st.sampled_from([None, "sender", "filtered"]), st.integers(0, 200)), min_size=1, max_size=60
    )
)
def test_the_window_equals_a_recount_of_the_last_receipts(
    steps: list[tuple[str | None, int]],
) -> None:
    clock = FakeClock()
    failures = FailureMonitor(WarningRule(share=0.5, at_least=1, window=600), clock)
    seen: list[tuple[int, str | None]] = []
    for error_class, pause in steps:
        clock.now += pause
        failures.record("12345", error_class)
        seen.append((int(clock.now / 30), error_class))
        counted = [each for part, each in seen if part > int(clock.now / 30) - 20]
        for each in failures.shares():
            assert (each.failed, each.receipts) == (counted.count(each.error_class), len(counted))


def test_receipts_of_other_workers_count_and_are_not_reported_again() -> None:
    failures = FailureMonitor(RULE, FakeClock())
    failures.record("12345", None)
    failures.merge(Counter({("12345", None): 10, ("12345", "sender"): 10}))
    assert failing(failures) == [("12345", "sender")]
    drained = failures.drain()
    assert drained == {("12345", None): 1}
    failures.record("12345", "sender")
    failures.restore(drained)
    assert failures.drain() == {("12345", None): 1, ("12345", "sender"): 1}
    assert not failures.drain()


def test_what_is_unreported_adds_up_by_sender_and_class() -> None:
    failures = FailureMonitor(RULE, FakeClock())
    record_receipts(failures, 3, 2)
    assert failures.drain() == Counter({("12345", None): 3, ("12345", "sender"): 2})
    assert failures.drain() == Counter()


def test_the_number_of_senders_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sms_router.senders.failure_monitor.MAX_SENDERS", 2)
    failures = FailureMonitor(RULE, FakeClock())
    for number in (1, 2, 3, 1):
        record_receipts(failures, 0, 1, sender=f"1000{number}")
    assert [(figures.sender, figures.receipts) for figures in failures.shares()] == [
        ("10001", 2),
        ("10002", 1),
    ]
    assert set(failures.drain()) == {("10001", "sender"), ("10002", "sender")}


def test_a_receipt_stays_for_the_whole_window_and_no_longer() -> None:
    clock = FakeClock()
    clock.now = 0.0
    failures = FailureMonitor(RULE, clock)
    record_receipts(failures, 0, 1)
    for now, expected in ((599.0, 1), (600.0, 0)):
        clock.now = now
        failures.update()
        assert len(list(failures.shares())) == expected


def test_receipts_of_one_bucket_share_it() -> None:
    clock = FakeClock()
    clock.now = 0.0
    failures = FailureMonitor(RULE, clock)
    for clock.now in (0.0, 15.0, 29.9):
        record_receipts(failures, 0, 1)
    for clock.now, expected in ((599.9, 3), (600.0, 0)):
        failures.update()
        assert [one.failed for one in failures.shares()] == [expected] * bool(expected)


def test_the_alerts_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sms_router.senders.failure_monitor.MAX_ALERTS", 2)
    failures = FailureMonitor(RULE, FakeClock())
    for number in range(3):
        record_receipts(failures, 0, 20, sender=f"1000{number}")
    failures.update()
    assert [alert.failing.sender for alert in failures.drain_alerts()] == ["10001", "10002"]
