"""The log: its two formats, the message sid of a record, masked numbers, a rate limit, safe output."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, field
from math import inf
from typing import Any, ClassVar

from pythonjsonlogger.core import RESERVED_ATTRS

from sms_router.privacy import mask_numbers

current_message_sid: ContextVar[str] = ContextVar("current_message_sid", default="")
"""The sid of the message that is being processed; tasks and threads started for it inherit the value."""

RATE_LIMIT_PERIOD = 60.0
"""Seconds in which one place in the code may write `MAX_LINES`, and the same line `MAX_REPEATS` times."""

MAX_LINES = 20
MAX_REPEATS = 3

_LIMITED_LOGGERS = frozenset({"sms_router", "uvicorn", "asyncio", "redis", "twilio"})
"""The first part of the names of loggers that anybody's requests and texts write to. A team's own loggers
are not limited."""

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


class MaskingFormatter(logging.Formatter):
    """Masks telephone numbers in every line and traceback."""

    mask: ClassVar[Callable[[str], str]] = staticmethod(mask_numbers)
    """The router sets one that knows its own numbers, or that masks none."""

    def format(self, record: logging.LogRecord) -> str:
        record = copy(record)
        if not isinstance(record.msg, dict):
            record.msg, record.args = MaskingFormatter.mask(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = MaskingFormatter.mask(self.formatException(record.exc_info))
            record.exc_info = None
        return super().format(record)


def _json_formatter(**options: Any) -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter  # noqa: PLC0415 (slow to import, for the help of commands)

    class MaskingJsonFormatter(MaskingFormatter, JsonFormatter):
        """Formats records as JSON."""

    return MaskingJsonFormatter(**options)


class PlainFormatter(MaskingFormatter):
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
class _CodePlace:
    """What one place in the code has logged in the current period."""

    written: Counter[int] = field(default_factory=Counter)
    """By the hash of the line."""
    suppressed: int = 0
    latest: logging.LogRecord | None = None


class RateLimitFilter(logging.Filter):
    """Bounds what anybody can have logged, by requests or by texts.

    A place in the code writes `MAX_LINES` in a minute, the same line `MAX_REPEATS` times. At the end of the
    minute one more line has the number of the others, and the latest of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._places: dict[tuple[str, int], _CodePlace] = {}
        self._lock = threading.RLock()  # a signal handler may log
        self._period_end = -inf
        self._summary_timer: threading.Timer | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in _LIMITED_LOGGERS or record.__dict__.get("is_summary"):
            return True
        line = hash((record.getMessage(), record.__dict__.get("message_sid")))
        with self._lock:
            if (now := time.monotonic()) >= self._period_end and self._summary_timer is None:
                self._places.clear()
                self._period_end = now + RATE_LIMIT_PERIOD
            place = self._places.setdefault((record.pathname, record.lineno), _CodePlace())
            if place.written[line] < MAX_REPEATS and place.written.total() < MAX_LINES:
                place.written[line] += 1
                return True
            place.suppressed += 1
            place.latest = record
            if self._summary_timer is None:
                self._summary_timer = threading.Timer(RATE_LIMIT_PERIOD, self.summarize)
                self._summary_timer.daemon = True
                self._summary_timer.start()
        return False

    def summarize(self) -> None:
        """Write the number of the suppressed lines of each place, and begin the next period."""
        with self._lock:
            places, self._places, self._summary_timer = self._places, {}, None
        for place in places.values():
            if (record := place.latest) is not None:
                first_line = record.getMessage().partition("\n")[0]
                record.msg = f"{place.suppressed} more in the last minute: {first_line}"
                record.__dict__.update(args=(), exc_info=None, exc_text=None, is_summary=True)
                logging.getLogger(record.name).handle(record)


_FORMATTERS: dict[str, dict[str, Any]] = {
    "text": {
        "()": PlainFormatter,
        "fmt": "%(asctime)s %(levelname)-7s %(name)s: %(message)s%(of_message)s",
        "datefmt": "%H:%M:%S",
    },
    "json": {
        "()": _json_formatter,
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
                "filters": ["message_sid", "rate_limit"],
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "sms_router": {"level": "INFO"},
            "handlers": {"level": "INFO"},
            "uvicorn": {"level": "WARNING"},
            "uvicorn.error": {"level": "WARNING"},
        },
    }
