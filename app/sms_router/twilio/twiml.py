"""The answer to Twilio: messages in, one TwiML document out (facts 4).

Whatever a handler writes, the document is well-formed, inside Twilio's limits, and says what
was written; what does not fit is cut at the end, visibly, and the caller is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, zip_longest

from defusedxml.ElementTree import fromstring

from sms_router.twilio.splitting import LONGEST_BODY, pieces, split_text

MOST_MESSAGES = 10
"""Replies to one inbound message (facts 3, 14109)."""

MOST_MEDIA = 10
"""Media of one message (facts 4; 21623 beyond it)."""

LARGEST_DOCUMENT = 64_000
"""Bytes: the smaller reading of Twilio's "64 kB" (facts 1.5, 11750)."""

ELLIPSIS = "..."
"""Three dots, because the one character would turn a GSM-7 text into UCS-2 and triple its segments."""

_OPENING = '<?xml version="1.0" encoding="UTF-8"?><Response>'
_CLOSING = "</Response>"

EMPTY = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
"""The document that says nothing."""

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
"""What XML 1.0 cannot carry, escaped or not: control characters, surrogates, U+FFFE and U+FFFF."""

_MARKUP = re.compile('[&<>"\t\n\r]')
_TEXT_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_ATTRIBUTE_ESCAPES = _TEXT_ESCAPES | str.maketrans({'"': "&quot;", "\t": "&#9;", "\n": "&#10;"})


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """One message of a reply, before Twilio's limits are applied to it.

    ``sender`` becomes ``from`` (None: the number that was texted). ``status_url``, with a dot and the
    place of the message in its document behind it, becomes ``statusCallback`` and, on the last
    message, ``action`` too, because accounts differ in which one they obey (facts 4).
    """

    body: str
    media: tuple[str, ...] = ()
    sender: str | None = None
    status_url: str | None = None
    recipient: str | None = None
    """Becomes ``to``; None: the person who texted."""


def render(messages: Sequence[OutboundMessage]) -> bytes:
    """Write the TwiML that sends these messages, in their order.

    Bodies longer than 1600 characters and media beyond ten continue in further messages. When
    there are more than ten messages, or 64 kB, the rest is left out, and the last text that is
    kept ends with three dots. Messages with nothing to say are skipped.
    """
    parts = list(islice(chain.from_iterable(map(_parts, messages)), MOST_MESSAGES + 1))
    if not parts:
        return EMPTY
    document = _document(parts)
    if len(parts) <= MOST_MESSAGES and len(document) <= LARGEST_DOCUMENT:
        return document
    return _cut(parts)


def parse_own(document: bytes) -> tuple[OutboundMessage, ...]:
    """Read back what `render` wrote; the place of a message in its document is its place here."""
    if not document or document == EMPTY:
        return ()
    return tuple(
        OutboundMessage(
            element.findtext("Body", ""),
            tuple(media.text or "" for media in element.findall("Media")),
            element.get("from"),
            recipient=element.get("to"),
        )
        for element in fromstring(document).findall("Message")
    )


def _parts(message: OutboundMessage) -> Iterator[OutboundMessage]:
    """The messages that one message becomes, each inside Twilio's limits for one."""
    body = sendable(message.body)
    if len(body) * 2 <= LONGEST_BODY and not message.media:
        if body and not body.isspace():
            yield message if body is message.body else replace(message, body=body)
        return
    media = [url for url in map(sendable, message.media) if url and not url.isspace()]
    batches = (tuple(media[start : start + MOST_MEDIA]) for start in range(0, len(media), MOST_MEDIA))
    for text, batch in zip_longest(pieces(body, LONGEST_BODY), batches):
        yield replace(message, body=text or "", media=batch or ())


def sendable(text: str) -> str:
    """The text without the characters that no XML document can carry (12100 otherwise)."""
    return text if text.isprintable() else _FORBIDDEN.sub("", text)


def _cut(parts: list[OutboundMessage]) -> bytes:
    """As many of the first messages as fit, the last one ending visibly."""
    for count in range(min(len(parts), MOST_MESSAGES), 0, -1):
        document = _document([*parts[: count - 1], _ended(parts[count - 1])])
        if len(document) <= LARGEST_DOCUMENT:
            return document
    # Only addresses can be that large. The person gets the words rather than nothing.
    words = [replace(part, media=(), status_url=None) for part in parts if part.body]
    if words and words != parts:
        return render(words)
    return EMPTY


def _ended(part: OutboundMessage) -> OutboundMessage:
    if not part.body:
        return part
    kept = split_text(part.body, LONGEST_BODY - len(ELLIPSIS))[0]
    return replace(part, body=kept.rstrip() + ELLIPSIS)


def _document(parts: list[OutboundMessage]) -> bytes:
    """Write the document; only its last message has an ``action``, since what follows one may be lost.

    Twilio's page says both that ``action`` is a status callback and that it takes over control, so
    that later verbs are never reached (facts 4).
    """
    last = len(parts) - 1
    messages = "".join([_element(part, number, action=number == last) for number, part in enumerate(parts)])
    return f"{_OPENING}{messages}{_CLOSING}".encode()


def _element(part: OutboundMessage, number: int, *, action: bool) -> str:
    attributes = f' from="{_attribute(part.sender)}"' if part.sender else ""
    if part.recipient:
        attributes += f' to="{_attribute(part.recipient)}"'
    if part.status_url:
        url = f"{_attribute(part.status_url)}.{number}"
        attributes += f' statusCallback="{url}"'
        if action:
            attributes += f' action="{url}"'
    content = f"<Body>{_text(part.body)}</Body>" if part.body else ""
    if part.media:
        content += "".join(f"<Media>{_text(url)}</Media>" for url in part.media)
    return f"<Message{attributes}>{content}</Message>"


def _text(value: str) -> str:
    return value.translate(_TEXT_ESCAPES) if _MARKUP.search(value) else value


def _attribute(value: str) -> str:
    value = sendable(value)
    return value.translate(_ATTRIBUTE_ESCAPES) if _MARKUP.search(value) else value
