"""Reading a webhook's bytes within bounds, and answering it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator, Iterable, Mapping
from enum import Enum
from typing import Any

from starlette.types import Message, Receive, Scope, Send

MAX_BODY_BYTES = 65_536
"""Bytes; a webhook of Twilio's has a few thousand."""

BODY_TIMEOUT = 5.0
"""Seconds from the headers to the end of the body."""

FORM = b"application/x-www-form-urlencoded"


class Rejection(Enum):
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


Headers = Mapping[bytes, bytes]
"""By their names in lower case."""


def read_headers(scope: Scope) -> Headers:
    """Return the headers; a repeated one is joined with a comma, which no signature survives."""
    headers = dict(scope["headers"])
    return headers if len(headers) == len(scope["headers"]) else _joined(scope["headers"])


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    joined: dict[bytes, bytes] = {}
    for name, value in headers:
        joined[name] = joined[name] + b"," + value if name in joined else value
    return joined


def is_form(headers: Headers) -> bool:
    """Tell whether the body is a form, whatever parameters follow its media type."""
    media_type = headers.get(b"content-type", b"")
    return media_type == FORM or media_type.partition(b";")[0].strip().lower() == FORM


async def read_body(headers: Headers, receive: Receive, patience: float = BODY_TIMEOUT) -> bytes | Rejection:
    """Return the body, or why it is not taken; ``patience`` is in seconds."""
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length[:12]) > MAX_BODY_BYTES:
        return Rejection.TOO_LARGE
    begun = _EagerAwait(receive())
    if not begun.pending and not begun.result.get("more_body"):
        return _bounded(begun.result, begun.result.get("body", b""))
    try:
        async with asyncio.timeout(patience):
            return await _collect(begun, receive)
    except TimeoutError:
        return Rejection.TOO_SLOW


async def _collect(begun: _EagerAwait, receive: Receive) -> bytes | Rejection:
    """Return a body that comes in pieces, or has not come yet."""
    messages = [await begun]
    size = len(messages[0].get("body", b""))
    while messages[-1].get("more_body") and size <= MAX_BODY_BYTES:
        messages.append(await receive())
        size += len(messages[-1].get("body", b""))
    return _bounded(messages[-1], b"".join([message.get("body", b"") for message in messages]))


def _bounded(last: Message, body: bytes) -> bytes | Rejection:
    """Return the body that ends with a message, or why it is not taken."""
    if last["type"] != "http.request":
        return Rejection.DISCONNECTED
    return body if len(body) <= MAX_BODY_BYTES else Rejection.TOO_LARGE


class _EagerAwait:
    """An awaitable whose first step is taken at once.

    The body of a webhook is nearly always there already; then there is nothing to wait for, and no
    timer to set up and tear down. Otherwise this is awaited as the original would have been.
    """

    def __init__(self, awaitable: Awaitable[Message]) -> None:
        self._steps = awaitable.__await__()
        self.pending = False
        self.result: Message = {}
        try:
            self._awaited = next(self._steps)
            self.pending = True
        except StopIteration as done:
            self.result = done.value

    def __await__(self) -> Generator[Any, Any, Message]:
        if self.pending:
            try:
                yield self._awaited
            except BaseException:
                self._steps.close()
                raise
            self.result = yield from self._steps
            self.pending = False
        return self.result


async def send_twiml(send: Send, document: bytes) -> None:
    """Answer 200 with TwiML; never as text/plain, which Twilio would text to the person (facts 1.5)."""
    await _send(send, 200, document, [(b"content-type", b"application/xml; charset=utf-8")])


async def send_empty(send: Send, status: int, allow: bytes = b"GET, POST") -> None:
    """Answer a status without a body; 405 says which methods there are."""
    await _send(send, status, b"", [(b"allow", allow)] if status == 405 else [])


async def _send(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    if status != 204:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
