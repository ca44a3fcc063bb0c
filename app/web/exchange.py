"""Reading a webhook's bytes within bounds, and answering it."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import NamedTuple

from starlette.types import Message, Receive, Scope, Send

LARGEST_BODY = 65_536
"""Bytes; a webhook of Twilio's has a few thousand."""

SLOWEST_BODY = 5.0
"""Seconds from the headers to the end of the body."""

FORM = b"application/x-www-form-urlencoded"


class Refusal(Enum):
    """Why a request is not read further: the HTTP status and the word for logs and metrics."""

    WRONG_METHOD = (405, "wrong method")
    WRONG_MEDIA_TYPE = (415, "wrong media type")
    TOO_LARGE = (413, "too large")
    TOO_SLOW = (408, "too slow")
    DISCONNECTED = (400, "disconnected")
    MALFORMED = (400, "malformed")
    BAD_SIGNATURE = (403, "bad signature")

    def __init__(self, status: int, word: str) -> None:
        """Name the two halves of the value."""
        self.status = status
        self.word = word


class Head(NamedTuple):
    """The headers that a webhook is judged by, read in one pass."""

    media_type: bytes = b""
    length: bytes = b""
    signature: str | None = None
    settings: str | None = None
    host: str | None = None


_WANTED = {
    b"content-type": 0,
    b"content-length": 1,
    b"x-twilio-signature": 2,
    b"x-twilio-webhooks-signature-settings": 3,
    b"host": 4,
}


def read_head(scope: Scope) -> Head:
    """Pick the headers out; a repeated one is joined with a comma, which no signature survives."""
    found: list[bytes | None] = [None] * 5
    for name, value in scope["headers"]:
        place = _WANTED.get(name)
        if place is not None:
            before = found[place]
            found[place] = value if before is None else before + b"," + value
    media_type, length, signature, settings, host = found
    return Head(
        (media_type or b"").partition(b";")[0].strip().lower(),
        length or b"",
        signature.decode("latin-1") if signature is not None else None,
        settings.decode("latin-1") if settings is not None else None,
        host.decode("latin-1") if host is not None else None,
    )


async def read_body(head: Head, receive: Receive, patience: float = SLOWEST_BODY) -> bytes | Refusal:
    """Return the body, or why it is not taken; ``patience`` is in seconds."""
    if head.length.isdigit() and int(head.length[:12]) > LARGEST_BODY:
        return Refusal.TOO_LARGE
    try:
        async with asyncio.timeout(patience):
            return await _collect(receive)
    except TimeoutError:
        return Refusal.TOO_SLOW


async def _collect(receive: Receive) -> bytes | Refusal:
    message: Message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        return body if len(body) <= LARGEST_BODY else Refusal.TOO_LARGE
    chunks: list[bytes] = []
    size = 0
    while message["type"] == "http.request":
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > LARGEST_BODY:
            return Refusal.TOO_LARGE
        if not message.get("more_body"):
            return b"".join(chunks)
        message = await receive()
    return Refusal.DISCONNECTED


async def send_twiml(send: Send, document: bytes) -> None:
    """Answer 200 with TwiML; never as text/plain, which Twilio would text to the person (facts 1.5)."""
    await _send(send, 200, document, [(b"content-type", b"application/xml; charset=utf-8")])


async def send_empty(send: Send, status: int) -> None:
    """Answer a status without a body."""
    await _send(send, status, b"", [(b"allow", b"GET, POST")] if status == 405 else [])


async def _send(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    if status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
