from __future__ import annotations

import json
import logging
import logging.config
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sms_router.logs import (
    MaskingFormatter,
    MessageSidFilter,
    RateLimitFilter,
    current_message_sid,
    escape_control_chars,
    log_config,
)
from sms_router.privacy import mask_numbers

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


class Log:
    """A log with the router's rate limit, and what is written to it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.limit = RateLimitFilter()

    def write(self, text: str, *values: object, name: str = "uvicorn.error", line: int = 1) -> None:
        record = logging.LogRecord(name, logging.WARNING, __file__, line, text, values, None)
        if self.limit.filter(record):
            self.lines.append(record.getMessage())


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    logger = logging.getLogger("uvicorn.error")
    monkeypatch.setattr(logger, "handle", lambda record: log.lines.append(record.getMessage()))
    return log


@pytest.mark.parametrize(
    ("texts", "written", "more"),
    [
        (["not HTTP"] * 100, ["not HTTP"] * 3, ["97 more in the last minute: not HTTP"]),
        (
            [f"from {number}" for number in range(100)],
            [f"from {number}" for number in range(20)],
            ["80 more in the last minute: from 99"],
        ),
        (["one", "two", "one"], ["one", "two", "one"], []),
    ],
)
def test_a_place_in_the_code_writes_a_few_lines_a_minute_and_the_number_of_the_others(
    log: Log, texts: list[str], written: list[str], more: list[str]
) -> None:
    for text in texts:
        log.write("%s", text)
    assert log.lines == written
    log.limit.summarize()
    assert log.lines == [*written, *more]
    log.write("%s", texts[0])
    assert log.lines[-1] == texts[0]


def test_other_places_and_a_teams_own_logger_are_not_limited(log: Log) -> None:
    for number in range(30):
        log.write("odd", line=number)
        log.write("odd", name="handlers.pizza")
    assert log.lines == ["odd"] * 60


@pytest.mark.parametrize("form", ["text", "json"])
def test_numbers_are_masked_in_lines_and_tracebacks(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MaskingFormatter, "mask", partial(mask_numbers, is_business="+15005550006".__eq__))
    try:
        raise KeyError("call me at (415) 555-7788")
    except KeyError:
        error = sys.exc_info()
    text = "sent from +15005550006 to %s\n"
    line = written(
        form, logging.LogRecord("x", logging.ERROR, __file__, 1, text, ("+1 415.555.7788",), error)
    )
    assert "555-7788" not in line
    assert "555.7788" not in line
    assert "+15005550006" in line
    assert "KeyError" in line
