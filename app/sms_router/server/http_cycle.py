"""One request and its response, as uvicorn has them, but for a response that is written at once.

uvicorn writes a head as soon as it is there, and its body apart: a second system call and a second
packet for every text that is answered. And it looks for what could not be a header in the same few
headers each time. Here the head waits for its body, as ASGI asks of a server, and heads are kept.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent, HTTPResponseStartEvent

Headers = tuple[tuple[bytes, bytes], ...]

_CLOSE = b"connection: close\r\n"

_SIGNIFICANT = {b"connection", b"transfer-encoding"}
"""Names of headers that say how a response is written, or what becomes of its connection."""

_NO_CONTENT = 204


class SingleWriteCycle(RequestResponseCycle):
    """What `BoundedHttpProtocol` makes of each request."""

    _start: HTTPResponseStartEvent | None = None
    """The head that waits for its body."""

    async def send(self, message: ASGISendEvent) -> None:
        """Take the next part of the response (the application calls this)."""
        if self.transport.is_closing():
            self.disconnected = True  # the loop is about to say so, and minds what is written until then
            return
        if message["type"] == "http.response.start" and not self.response_started:
            self._start = message
            return
        if (start := self._start) is not None:
            self._start = None
            if self._write(start, message):
                return
            await super().send(start)
        await super().send(message)

    def _write(self, start: HTTPResponseStartEvent, message: ASGISendEvent) -> bool:
        """Write a response that is there as a whole; False where it is not, or uvicorn has more to do."""
        if message["type"] != "http.response.body" or message.get("more_body"):
            return False
        if self.flow.write_paused or self.access_log or self.scope["method"] == "HEAD":
            return False
        body = message.get("body", b"")
        head = _head(start["status"], tuple(start.get("headers", ())))
        if head is None or head.length != len(body):
            return False
        self.response_started = self.response_complete = True
        own, closing = _lines(tuple(self.default_headers)), b"" if self.keep_alive else _CLOSE
        self.transport.write(b"".join((head.status, own, head.lines, closing, b"\r\n", body)))
        self.message_event.set()
        if closing:
            self.transport.close()
        self.on_response()
        return True


class _Head(NamedTuple):
    """What a response begins with; uvicorn's own headers come in between."""

    status: bytes
    lines: bytes
    length: int
    """Bytes of the body."""


@lru_cache(maxsize=1024)
def _head(status: int, headers: Headers) -> _Head | None:
    """Return the head of a response that tells its length and nothing about its connection, else None."""
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    if not lengths and status == _NO_CONTENT:
        lengths = [b"0"]
    if len(lengths) != 1 or any(name.lower() in _SIGNIFICANT for name, _ in headers):
        return None
    if any(HEADER_RE.search(name) or HEADER_VALUE_RE.search(value) for name, value in headers):
        return None  # uvicorn says what is wrong with it
    return _Head(STATUS_LINE[status], _lines(headers), int(lengths[0]))


@lru_cache(maxsize=1024)
def _lines(headers: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % (name.lower(), value) for name, value in headers])
