from __future__ import annotations

import json
import logging
import logging.config
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from app.log_context import MESSAGE, NamesMessage, log_config


def written(form: str, record: logging.LogRecord) -> str:
    """Write a record as the configuration of this form does."""
    configurator = logging.config.DictConfigurator(log_config(form))
    formatter = configurator.configure_formatter(log_config(form)["formatters"]["chosen"])
    assert NamesMessage().filter(record)
    text = formatter.format(record)
    assert isinstance(text, str)
    return text


def record() -> logging.LogRecord:
    return logging.LogRecord("sms_router", logging.WARNING, __file__, 1, "%s\n{", ("odd",), None)


@pytest.mark.parametrize(("sid", "end"), [("", "odd\n{"), ("SM1", "odd\n{ [SM1]")])
def test_people_read_the_sid_at_the_end(sid: str, end: str) -> None:
    token = MESSAGE.set(sid)
    assert written("text", record()).endswith(end)
    MESSAGE.reset(token)


def test_a_document_is_one_line_whatever_is_logged() -> None:
    line = written("json", record())
    assert "\n" not in line
    assert json.loads(line)["message"] == "odd\n{"


def test_a_thread_that_works_for_a_message_names_it() -> None:
    token = MESSAGE.set("SM7")
    with ThreadPoolExecutor(1) as pool:
        text = pool.submit(copy_context().run, written, "json", record()).result()
    MESSAGE.reset(token)
    assert json.loads(text)["message_sid"] == "SM7"
