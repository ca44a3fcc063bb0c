"""Reading an answer as Twilio does, and saying what is wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from loadtests.crowd.texts import Due

TWIML_TYPES = frozenset({"application/xml", "text/xml"})
"""Without ``text/html``, which Twilio takes too (facts 1.5)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One ``<Message>``."""

    body: str
    media: tuple[str, ...]
    sender: str | None
    receipts: str | None
    """Where its status callbacks go."""


class NotTwimlError(ValueError):
    """What came is no answer that Twilio understands; says why."""


def read_answer(status: int, content_type: str, body: bytes) -> tuple[Message, ...]:
    """Return the messages of an answer.

    Raises:
        NotTwimlError: when Twilio would go to the fallback, or text something odd to the person.

    """
    if status != 200:
        raise NotTwimlError(f"status {status}")
    if content_type.partition(";")[0].strip().lower() not in TWIML_TYPES:
        raise NotTwimlError(f"sent as {content_type or 'nothing'}")
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise NotTwimlError(f"not XML: {error}") from error
    if root.tag != "Response" or any(child.tag != "Message" for child in root):
        raise NotTwimlError(f"not a <Response> of messages: {body[:80]!r}")
    return tuple(
        Message(
            child.findtext("Body") or (child.text or ""),
            tuple(media.text or "" for media in child.iter("Media")),
            child.get("from"),
            child.get("statusCallback"),
        )
        for child in root
    )


def fault_in(messages: tuple[Message, ...], due: Due, sender: str | None) -> str | None:
    """Return what is wrong, in words, or None; ``sender`` is who must answer, None where that is open."""
    if len(messages) != len(due.texts):
        said = ", ".join(repr(message.body) for message in messages) or "silence"
        return f"{said} where {' + '.join(due.texts) or 'silence'} is due"
    for message, pattern in zip(messages, due.texts, strict=True):
        if re.fullmatch(pattern, message.body) is None:
            return f"{message.body!r} where {pattern} is due"
        if sender is not None and message.sender != sender:
            return f"from {message.sender} where {sender} is due"
    if messages and messages[0].media != due.media:
        return f"pictures {messages[0].media} where {due.media} are due"
    return None
