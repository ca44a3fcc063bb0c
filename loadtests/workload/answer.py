"""Parse the answer to a webhook as Twilio does, and compare it with the expected reply."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from loadtests.workload.texts import ExpectedReply

TWIML_TYPES = frozenset({"application/xml", "text/xml"})
"""Without ``text/html``, which Twilio accepts too (facts 1.5)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One ``<Message>``."""

    body: str
    media: tuple[str, ...]
    sender: str | None
    status_callback: str | None
    """The URL of its status callbacks."""


class InvalidAnswerError(ValueError):
    """The answer is not valid TwiML; the message has the reason."""


def parse_answer(status: int, content_type: str, body: bytes) -> tuple[Message, ...]:
    """Return the messages of an answer.

    Raises:
        InvalidAnswerError: if Twilio would call the fallback URL, or would send the body as a text.

    """
    if status != 200:
        raise InvalidAnswerError(f"status {status}")
    if content_type.partition(";")[0].strip().lower() not in TWIML_TYPES:
        raise InvalidAnswerError(f"the content type is {content_type or 'missing'}")
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise InvalidAnswerError(f"not XML: {error}") from error
    if root.tag != "Response" or any(child.tag != "Message" for child in root):
        raise InvalidAnswerError(f"not a <Response> of messages: {body[:80]!r}")
    return tuple(
        Message(
            child.findtext("Body") or (child.text or ""),
            tuple(media.text or "" for media in child.iter("Media")),
            child.get("from"),
            child.get("statusCallback"),
        )
        for child in root
    )


def find_fault(messages: tuple[Message, ...], expected: ExpectedReply, sender: str | None) -> str | None:
    """Return a sentence about the first difference, or None; ``sender`` is None if any sender is right."""
    if len(messages) != len(expected.texts):
        received = ", ".join(repr(message.body) for message in messages) or "no reply"
        return f"{received}, expected {' + '.join(expected.texts) or 'no reply'}"
    for message, pattern in zip(messages, expected.texts, strict=True):
        if re.fullmatch(pattern, message.body) is None:
            return f"{message.body!r}, expected {pattern}"
        if sender is not None and message.sender != sender:
            return f"from {message.sender}, expected {sender}"
    if messages and messages[0].media != expected.media:
        return f"media {messages[0].media}, expected {expected.media}"
    return None
