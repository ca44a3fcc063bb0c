"""The log: its two formats, the message sid of a record, a rate limit for warnings, safe output."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS

current_message_sid: ContextVar[str] = ContextVar("current_message_sid", default="")
"""The sid of the message that is being processed; tasks and threads started for it inherit the value."""

RATE_LIMIT_PERIOD = 60.0
"""Seconds until a warning with the same text is written again."""

MAX_TRACKED_WARNINGS = 100
"""Warning texts that `RateLimitFilter` keeps apart; a library has a few."""

_CONTROLS = (*range(10), *range(11, 32), *range(127, 160))
_LINE_ENDS = (0x2028, 0x2029)
_DIRECTIONS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""They change the order in which a terminal shows the characters of a line."""

_ESCAPES = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (*_CONTROLS, *_LINE_ENDS, *_DIRECTIONS)
}


def escape_control_chars(text: str) -> str:
    """Replace the characters that control a terminal by escape sequences; line feeds stay."""
    return text if text.isprintable() else text.translate(_ESCAPES)


class PlainFormatter(logging.Formatter):
    """Formats records for people. Continued lines are indented: no logged text can imitate a record."""

    def format(self, record: logging.LogRecord) -> str:
        return escape_control_chars(super().format(record)).replace("\n", "\n    ")


class MessageSidFilter(logging.Filter):
    """Adds the current message's sid to every record, as both formats use it; rejects none."""

    def filter(self, record: logging.LogRecord) -> bool:
        sid = current_message_sid.get()
        record.__dict__.update(message_sid=sid, of_message=f" [{sid}]" if sid else "")
        return True


@dataclass(slots=True)
class _TrackedWarning:
    written_at: float
    suppressed: int = 0


class RateLimitFilter(logging.Filter):
    """Passes each warning text of a logger once a minute, with the number of those suppressed before it.

    uvicorn warns about every request that is not HTTP, and anybody can send those. Errors always pass.

    Args:
        name: of the logger, as `logging.Filter` takes it.
        clock: monotonic, in seconds.

    """

    def __init__(self, name: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(name)
        self._clock = clock
        self._tracked: dict[str, _TrackedWarning] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        text, now = str(record.msg), self._clock()
        tracked = self._tracked.get(text)
        if tracked is not None and now - tracked.written_at < RATE_LIMIT_PERIOD:
            tracked.suppressed += 1
            return False
        if tracked is not None and tracked.suppressed:
            record.msg = f"{text} ({tracked.suppressed} more since the last one)"
        if len(self._tracked) >= MAX_TRACKED_WARNINGS:
            self._tracked.clear()
        self._tracked[text] = _TrackedWarning(now)
        return True


_FORMATTERS: dict[str, dict[str, Any]] = {
    "text": {
        "()": PlainFormatter,
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


def log_config(log_format: str) -> dict[str, Any]:
    """Return the configuration for `logging.config.dictConfig`; ``log_format`` is ``text`` or ``json``."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"selected": dict(_FORMATTERS[log_format])},
        "filters": {
            "rate_limit": {"()": RateLimitFilter},
            "message_sid": {"()": MessageSidFilter},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "selected",
                "filters": ["message_sid"],
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "sms_router": {"level": "INFO"},
            "handlers": {"level": "INFO"},
            "uvicorn": {"level": "WARNING"},
            "uvicorn.error": {"level": "WARNING", "filters": ["rate_limit"]},
        },
    }
