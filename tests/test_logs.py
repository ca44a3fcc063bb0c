from __future__ import annotations

import json
import logging
import logging.config
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sms_router.logs import (
    MessageSidFilter,
    RateLimitFilter,
    current_message_sid,
    escape_control_chars,
    log_config,
)

FORGED = "+1415\r\n12:00:00 ERROR   sms_router: all is lost\x1b[2J\x9b1m\u202e\u2028\ud800"
STEERS = set("\x00\x07\x08\r\x1b\x7f\x85\x9b\u2028\u2029\u202e\u2066")


def written(form: str, record: logging.LogRecord) -> str:
    """Write a record as the configuration of this form does."""
    configurator = logging.config.DictConfigurator(log_config(form))
    formatter = configurator.configure_formatter(log_config(form)["formatters"]["selected"])
    assert MessageSidFilter().filter(record)
    text = formatter.format(record)
    assert isinstance(text, str)
    return text


def record(text: str = "odd") -> logging.LogRecord:
    return logging.LogRecord("sms_router", logging.WARNING, __file__, 1, "%s\n{", (text,), None)


@pytest.mark.parametrize(("sid", "end"), [("", "odd\n    {"), ("SM1", "odd\n    { [SM1]")])
def test_a_text_line_ends_with_the_message_sid(sid: str, end: str) -> None:
    token = current_message_sid.set(sid)
    assert written("text", record()).endswith(end)
    current_message_sid.reset(token)


def test_a_document_is_one_line_whatever_is_logged() -> None:
    line = written("json", record())
    assert "\n" not in line
    assert json.loads(line)["message"] == "odd\n{"


def test_a_thread_inherits_the_message_sid() -> None:
    token = current_message_sid.set("SM7")
    with ThreadPoolExecutor(1) as pool:
        text = pool.submit(copy_context().run, written, "json", record()).result()
    current_message_sid.reset(token)
    assert json.loads(text)["message_sid"] == "SM7"


def test_control_characters_are_escaped() -> None:
    assert r"all is lost\x1b[2J\x9b1m\u202e\u2028" in written("text", record(FORGED))


@example(FORGED)
@given(st.text(max_size=50))
def test_no_text_can_imitate_a_record_or_control_the_terminal(text: str) -> None:
    people, programs = written("text", record(text)), written("json", record(text))
    assert all(line.startswith("    ") for line in people.split("\n")[1:])
    assert not STEERS & set(people)
    assert programs.isascii()
    assert programs.isprintable()
    assert json.loads(programs)["message"] == f"{text}\n{{"


@given(st.text())
def test_other_characters_are_not_escaped(text: str) -> None:
    assert escape_control_chars(escape_control_chars(text)) == escape_control_chars(text)
    assert escape_control_chars(text) == text or STEERS & set(text) or not text.isprintable()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_new_process_takes_the_configuration(log_format: str) -> None:
    script = (
        "import logging, logging.config; from sms_router.logs import log_config; "
        f"logging.config.dictConfig(log_config({log_format!r})); "
        "logging.getLogger('sms_router').info('started'); logging.getLogger('uvicorn.error').warning('odd')"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [("started" in line, "odd" in line) for line in run.stderr.splitlines()] == [
        (True, False),
        (False, True),
    ]


class RateLimitedLog:
    """A rate-limited log, and the clock that its filter reads."""

    def __init__(self) -> None:
        self.now = 0.0
        self._filter = RateLimitFilter(clock=lambda: self.now)

    def write(self, text: str, *values: object, level: int = logging.WARNING) -> str | None:
        """Return what is written, or None."""
        record = logging.LogRecord("uvicorn.error", level, __file__, 1, text, values, None)
        return record.getMessage() if self._filter.filter(record) else None


@pytest.fixture
def warnings() -> RateLimitedLog:
    return RateLimitedLog()


def test_a_warning_is_written_once_a_minute_with_the_number_suppressed(
    warnings: RateLimitedLog,
) -> None:
    assert warnings.write("not HTTP: %s", 1) == "not HTTP: 1"
    assert [warnings.write("not HTTP: %s", number) for number in range(2, 102)] == [None] * 100
    warnings.now = 60.0
    assert warnings.write("not HTTP: %s", 102) == "not HTTP: 102 (100 more since the last one)"
    warnings.now = 120.0
    assert warnings.write("not HTTP: %s", 103) == "not HTTP: 103"


def test_other_warnings_are_not_suppressed(warnings: RateLimitedLog) -> None:
    assert warnings.write("one") == "one"
    assert warnings.write("two") == "two"


def test_errors_all_pass(warnings: RateLimitedLog) -> None:
    assert [warnings.write("broken", level=logging.ERROR) for _ in range(3)] == ["broken"] * 3


def test_the_warnings_that_are_tracked_are_bounded(warnings: RateLimitedLog) -> None:
    written = [warnings.write(f"kind {number}") for number in range(300)]
    assert None not in written
    assert warnings.write("kind 299") is None
