"""Renders messages as TwiML (facts 4).

The document is well-formed and within Twilio's limits, whatever the texts are. What does not fit is cut at
the end, with three dots.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, zip_longest

from defusedxml.ElementTree import fromstring

from sms_router.twilio.splitting import MAX_BODY_LENGTH, iter_pieces, split_text

MAX_MESSAGES = 10
"""Replies to one inbound message (facts 3, 14109)."""

MAX_MEDIA = 10
"""Media of one message (facts 4; 21623 beyond it)."""

MAX_DOCUMENT_BYTES = 64_000
"""The smaller interpretation of Twilio's "64 kB" (facts 1.5, 11750)."""

ELLIPSIS = "..."
"""Three dots: the character for them is not in GSM-7 and would triple the segments of a text."""

_OPENING = '<?xml version="1.0" encoding="UTF-8"?><Response>'
_CLOSING = "</Response>"

EMPTY = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
"""The document that sends nothing."""

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
"""Characters that XML 1.0 excludes, escaped or not: control characters, surrogates, U+FFFE and U+FFFF."""

_SPECIAL = re.compile('[&<>"\x00-\x1f\ud800-\udfff\ufffe\uffff]')
"""Characters of an attribute that are escaped or removed."""

_MARKUP = re.compile('[&<>"\t\n\r]')
_TEXT_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_ATTRIBUTE_ESCAPES = _TEXT_ESCAPES | str.maketrans({'"': "&quot;", "\t": "&#9;", "\n": "&#10;"})


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """One message of a reply; it may be longer than Twilio's limits."""

    body: str
    media: tuple[str, ...] = ()
    sender: str | None = None
    """``from``; None for the number that was texted."""
    status_url: str | None = None
    """``statusCallback``, to which a dot and the message's place in the document are appended.

    The last message also has it as ``action``, because accounts differ in which one is called (facts 4).
    """
    recipient: str | None = None
    """``to``; None for the contact who texted."""


def render(messages: Sequence[OutboundMessage]) -> bytes:
    """Return the TwiML that sends these messages in their order.

    A body of more than 1600 characters or more than ten media continue in further messages. Beyond ten
    messages or 64 kB the rest is left out, and the last text that is sent ends with three dots. Empty
    messages are left out.
    """
    parts = list(islice(chain.from_iterable(map(_parts, messages)), MAX_MESSAGES + 1))
    if not parts:
        return EMPTY
    document = _document(parts)
    if len(parts) <= MAX_MESSAGES and len(document) <= MAX_DOCUMENT_BYTES:
        return document
    return _cut(parts)


def parse_own(document: bytes) -> tuple[OutboundMessage, ...]:
    """Parse a document that `render` has written; the messages have the order of the document."""
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
    """Split one message into messages within Twilio's limits."""
    body = remove_forbidden(message.body)
    if len(body) * 2 <= MAX_BODY_LENGTH and not message.media:
        if body and not body.isspace():
            yield message if body is message.body else replace(message, body=body)
        return
    media = [url for url in map(remove_forbidden, message.media) if url and not url.isspace()]
    batches = (tuple(media[start : start + MAX_MEDIA]) for start in range(0, len(media), MAX_MEDIA))
    for text, batch in zip_longest(iter_pieces(body, MAX_BODY_LENGTH), batches):
        yield replace(message, body=text or "", media=batch or ())


def remove_forbidden(text: str) -> str:
    """Remove the characters that XML excludes (12100 otherwise)."""
    return text if text.isprintable() else _FORBIDDEN.sub("", text)


def _cut(parts: list[OutboundMessage]) -> bytes:
    """Render as many of the first messages as fit, the last one with an ellipsis."""
    for count in range(min(len(parts), MAX_MESSAGES), 0, -1):
        document = _document([*parts[: count - 1], _with_ellipsis(parts[count - 1])])
        if len(document) <= MAX_DOCUMENT_BYTES:
            return document
    # Only media URLs can be that large. The contact gets the texts without them.
    texts = [replace(part, media=(), status_url=None) for part in parts if part.body]
    if texts and texts != parts:
        return render(texts)
    return EMPTY


def _with_ellipsis(part: OutboundMessage) -> OutboundMessage:
    if not part.body:
        return part
    first = split_text(part.body, MAX_BODY_LENGTH - len(ELLIPSIS))[0]
    return replace(part, body=first.rstrip() + ELLIPSIS)


def _document(parts: list[OutboundMessage]) -> bytes:
    """Render a document; only its last message has an ``action``.

    Twilio documents ``action`` both as a status callback and as a transfer of control, after which later
    verbs are not executed (facts 4).
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
    return remove_forbidden(value).translate(_ATTRIBUTE_ESCAPES) if _SPECIAL.search(value) else value
