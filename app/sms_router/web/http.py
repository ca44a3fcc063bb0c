"""Reads the body of a request within bounds, and sends TwiML and empty responses."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Generator, Mapping
from enum import Enum
from typing import Any

from starlette.types import Message, Receive, Scope, Send

MAX_BODY_BYTES = 65_536
"""A webhook of Twilio has a few thousand."""

BODY_TIMEOUT = 5.0
"""Seconds from the headers to the end of the body."""

FORM = b"application/x-www-form-urlencoded"

Headers = Mapping[bytes, bytes]
"""By their names in lower case."""


_UNREAD: Message = {"more_body": True}


class Rejection(Enum):
    """Why a request is not handled: the HTTP status, and the word for logs and metrics."""

    WRONG_METHOD = (405, "wrong method")
    WRONG_MEDIA_TYPE = (415, "wrong media type")
    TOO_LARGE = (413, "too large")
    TOO_SLOW = (408, "too slow")
    DISCONNECTED = (400, "disconnected")
    MALFORMED = (400, "malformed")
    BAD_SIGNATURE = (403, "bad signature")

    def __init__(self, status: int, word: str) -> None:
        self.status = status
        self.word = word


def read_headers(scope: Scope) -> Headers:
    """Return the headers; the values of a repeated one are joined with commas, which no signature passes."""
    headers = dict(scope["headers"])
    if len(headers) < len(scope["headers"]):
        headers = {}
        for name, value in scope["headers"]:
            headers[name] = headers[name] + b"," + value if name in headers else value
    return headers


def is_form(headers: Headers) -> bool:
    """Return whether the body is a form, with or without parameters of the media type."""
    media_type = headers.get(b"content-type", b"")
    return media_type == FORM or media_type.partition(b";")[0].strip().lower() == FORM


async def read_body(headers: Headers, receive: Receive, seconds: float = BODY_TIMEOUT) -> bytes | Rejection:
    """Return the body, or why it is refused; ``seconds`` bound the wait for it."""
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length[:12]) > MAX_BODY_BYTES:
        return Rejection.TOO_LARGE
    # The body has nearly always arrived with the headers. The first step of `receive` then returns it, and no
    # timer is needed, which would take 4 us.
    steps = receive().__await__()
    first, message = None, _UNREAD
    try:
        first = _continue(steps, next(steps))
    except StopIteration as returned:
        message = returned.value
    body = message.get("body", b"")
    if message.get("more_body"):
        try:
            async with asyncio.timeout(seconds):
                while message.get("more_body") and len(body) <= MAX_BODY_BYTES:
                    message = await (first or receive())
                    first, body = None, body + message.get("body", b"")
        except TimeoutError:
            return Rejection.TOO_SLOW
    if message["type"] != "http.request":
        return Rejection.DISCONNECTED
    return body if len(body) <= MAX_BODY_BYTES else Rejection.TOO_LARGE


@types.coroutine
def _continue(steps: Generator[Any, Any, Message], awaited: Any) -> Generator[Any, Any, Message]:
    """Await what a coroutine waits for after its first step, and then the rest of it."""
    try:
        yield awaited
    except BaseException:
        steps.close()
        raise
    return (yield from steps)


async def send_twiml(send: Send, document: bytes) -> None:
    """Send 200 with TwiML; Twilio would text a ``text/plain`` body to the contact (facts 1.5)."""
    headers = [
        (b"content-type", b"application/xml; charset=utf-8"),
        (b"content-length", b"%d" % len(document)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": document})


async def send_empty(send: Send, status: int, allow: bytes = b"GET, POST") -> None:
    """Send a status without a body; ``allow`` are the methods that 405 names."""
    headers = [(b"allow", allow)] if status == 405 else []
    if status != 204:
        headers.append((b"content-length", b"0"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
