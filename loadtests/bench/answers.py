"""Reads and checks answers; a fast wrong answer must not count."""

from __future__ import annotations

import re
from dataclasses import dataclass

TWIML_TYPES = (b"application/xml", b"text/xml")
"""The media types of TwiML, without ``text/html`` (facts 1.5)."""

_TWIML = re.compile(rb"\s*(?:<\?xml[^>]*\?>)?\s*<Response\b.*?(?:/>|</Response>)\s*", re.DOTALL)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TYPE = re.compile(rb"\r\ncontent-type: *([^;\r]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response: what is before the blank line, and what is after it."""

    head: bytes
    body: bytes

    @property
    def status(self) -> bytes:
        """The three digits."""
        return self.head[9:12]


class UnreadableAnswerError(ValueError):
    """A response without a length."""


def read_answer(received: bytes) -> Answer | None:
    """Return the answer, or None if it is not complete.

    Raises:
        UnreadableAnswerError: if the response has no length.

    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    length = _LENGTH.search(received, 0, end)
    if length is None:
        raise UnreadableAnswerError("a response without Content-Length")
    body = received[end + 4 :]
    return Answer(received[:end], body) if len(body) >= int(length[1]) else None


def find_fault(answer: Answer, expected: bytes) -> str | None:
    """Return what is wrong with an answer, or None."""
    if answer.status != b"200":
        return f"status {answer.status.decode(errors='replace')}"
    content_type = _TYPE.search(answer.head)
    if content_type is None or content_type[1].strip().lower() not in TWIML_TYPES:
        return "not sent as XML"
    if _TWIML.fullmatch(answer.body) is None:
        return f"not TwiML: {answer.body[:80]!r}"
    if expected not in answer.body:
        return f"{expected!r} is missing from {answer.body[:200]!r}"
    return None
