"""Warnings that strangers cause: one a minute, and none forgotten."""

from __future__ import annotations

import logging

import pytest

from sms_router.server.log_filter import MOST_KINDS, PERIOD, RateLimitFilter


class Log:
    """What passes the filter, and the clock that it looks at."""

    def __init__(self) -> None:
        self.now = 0.0
        self._filter = RateLimitFilter(clock=lambda: self.now)

    def says(self, text: str, *values: object, level: int = logging.WARNING) -> str | None:
        """Return what is written, or None."""
        record = logging.LogRecord("uvicorn.error", level, __file__, 1, text, values, None)
        return record.getMessage() if self._filter.filter(record) else None


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_warning_is_written_once_a_minute_with_the_count_of_those_held_back(log: Log) -> None:
    assert log.says("not HTTP: %s", 1) == "not HTTP: 1"
    assert [log.says("not HTTP: %s", number) for number in range(2, 102)] == [None] * 100
    log.now = PERIOD
    assert log.says("not HTTP: %s", 102) == "not HTTP: 102 (100 more since the last one)"
    log.now = 2 * PERIOD
    assert log.says("not HTTP: %s", 103) == "not HTTP: 103"


def test_other_warnings_are_not_held_back(log: Log) -> None:
    assert log.says("one") == "one"
    assert log.says("two") == "two"


def test_errors_all_pass(log: Log) -> None:
    assert [log.says("broken", level=logging.ERROR) for _ in range(3)] == ["broken"] * 3


def test_the_kinds_that_are_remembered_are_bounded(log: Log) -> None:
    written = [log.says(f"kind {number}") for number in range(3 * MOST_KINDS)]
    assert None not in written
    assert log.says(f"kind {3 * MOST_KINDS - 1}") is None
