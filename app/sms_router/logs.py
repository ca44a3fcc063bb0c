"""Which message a line of the log belongs to, and the line as people or as programs read it."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS

from sms_router.visible import escape_control_chars

current_message_sid: ContextVar[str] = ContextVar("message", default="")
"""The sid of the message that is being worked on; tasks and threads that work for it inherit it."""

_FORMATTERS: dict[str, dict[str, Any]] = {
    "text": {
        "()": "sms_router.logs.PlainFormatter",
        "fmt": "%(asctime)s %(levelname)-7s %(name)s: %(message)s%(of_message)s",
        "datefmt": "%H:%M:%S",
    },
    "json": {
        "()": "pythonjsonlogger.json.JsonFormatter",
        "fmt": "%(levelname)s %(name)s %(message)s %(message_sid)s %(process)d",
        "rename_fields": {"levelname": "level", "name": "logger"},
        "timestamp": "time",
        "reserved_attrs": [*RESERVED_ATTRS, "of_message"],
    },
}


class PlainFormatter(logging.Formatter):
    """Writes lines for people. Continued ones are indented, so that no text can feign a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record, with what would steer a terminal written out."""
        return escape_control_chars(super().format(record)).replace("\n", "\n    ")


class MessageSidFilter(logging.Filter):
    """Adds the message's sid to every record; lets all of them through."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the sid for both formats."""
        sid = current_message_sid.get()
        record.__dict__.update(message_sid=sid, of_message=f" [{sid}]" if sid else "")
        return True


def log_config(form: str) -> dict[str, Any]:
    """Return what `logging.config.dictConfig` is given; ``form`` is ``text`` or ``json``."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"chosen": dict(_FORMATTERS[form])},
        "filters": {
            "sparing": {"()": "sms_router.server.log_filter.RateLimitFilter"},
            "message": {"()": "sms_router.logs.NamesMessage"},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "chosen",
                "filters": ["message"],
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "sms_router": {"level": "INFO"},
            "handlers": {"level": "INFO"},
            "uvicorn": {"level": "WARNING"},
            "uvicorn.error": {"level": "WARNING", "filters": ["sparing"]},
        },
    }
