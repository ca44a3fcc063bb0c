"""Whether an answer is right. A fast wrong answer must not count."""

from __future__ import annotations

import re
from dataclasses import dataclass

TWIML_TYPES = (b"application/xml", b"text/xml")
"""What Twilio reads as TwiML, without ``text/html`` (facts 1.5)."""

_TWIML = re.compile(rb"\s*(?:<\?xml[^>]*\?>)?\s*<Response\b.*?(?:/>|</Response>)\s*", re.DOTALL)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TYPE = re.compile(rb"\r\ncontent-type: *([^;\r]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response: everything before the blank line, and everything after it."""

    head: bytes
    body: bytes

    @property
    def status(self) -> bytes:
        """The three digits."""
        return self.head[9:12]


class UnreadableAnswerError(ValueError):
    """A response without a length; none of the contestants should send one."""


def read_answer(received: bytes) -> Answer | None:
    """Return the answer when all of it has come, None while it has not.

    Raises:
        UnreadableAnswerError: when the response does not say how long it is.

    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    length = _LENGTH.search(received, 0, end)
    if length is None:
        raise UnreadableAnswerError("a response without Content-Length")
    body = received[end + 4 :]
    return Answer(received[:end], body) if len(body) >= int(length[1]) else None


def fault_in(answer: Answer, expected: bytes) -> str | None:
    """Return what is wrong with an answer, in words, or None when it is right."""
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
