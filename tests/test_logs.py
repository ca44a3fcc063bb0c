from __future__ import annotations

import json
import logging
import logging.config
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sms_router.logs import MessageSidFilter, current_message_sid, log_config
from sms_router.visible import escape_control_chars

FORGED = "+1415\r\n12:00:00 ERROR   sms_router: all is lost\x1b[2J\x9b1m\u202e\u2028\ud800"
STEERS = set("\x00\x07\x08\r\x1b\x7f\x85\x9b\u2028\u2029\u202e\u2066")


def written(form: str, record: logging.LogRecord) -> str:
    """Write a record as the configuration of this form does."""
    configurator = logging.config.DictConfigurator(log_config(form))
    formatter = configurator.configure_formatter(log_config(form)["formatters"]["chosen"])
    assert MessageSidFilter().filter(record)
    text = formatter.format(record)
    assert isinstance(text, str)
    return text


def record(text: str = "odd") -> logging.LogRecord:
    return logging.LogRecord("sms_router", logging.WARNING, __file__, 1, "%s\n{", (text,), None)


@pytest.mark.parametrize(("sid", "end"), [("", "odd\n    {"), ("SM1", "odd\n    { [SM1]")])
def test_people_read_the_sid_at_the_end(sid: str, end: str) -> None:
    token = current_message_sid.set(sid)
    assert written("text", record()).endswith(end)
    current_message_sid.reset(token)


def test_a_document_is_one_line_whatever_is_logged() -> None:
    line = written("json", record())
    assert "\n" not in line
    assert json.loads(line)["message"] == "odd\n{"


def test_a_thread_that_works_for_a_message_names_it() -> None:
    token = current_message_sid.set("SM7")
    with ThreadPoolExecutor(1) as pool:
        text = pool.submit(copy_context().run, written, "json", record()).result()
    current_message_sid.reset(token)
    assert json.loads(text)["message_sid"] == "SM7"


def test_what_steers_a_terminal_is_written_out() -> None:
    assert r"all is lost\x1b[2J\x9b1m\u202e\u2028" in written("text", record(FORGED))


@example(FORGED)
@given(st.text(max_size=50))
def test_no_text_can_feign_a_line_or_steer_the_terminal(text: str) -> None:
    people, programs = written("text", record(text)), written("json", record(text))
    assert all(line.startswith("    ") for line in people.split("\n")[1:])
    assert not STEERS & set(people)
    assert programs.isascii()
    assert programs.isprintable()
    assert json.loads(programs)["message"] == f"{text}\n{{"


@given(st.text())
def test_only_what_steers_is_written_out(text: str) -> None:
    assert escape_control_chars(escape_control_chars(text)) == escape_control_chars(text)
    assert escape_control_chars(text) == text or STEERS & set(text) or not text.isprintable()
