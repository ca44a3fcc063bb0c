"""uvicorn's request and response cycle, with one write per response.

uvicorn writes the head of a response and its body separately: a second system call and a second packet for
every answer. It also validates the same few headers each time. Here the head waits for its body, as ASGI
allows, and validated heads are cached.
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
"""Headers that change how a response is written or whether its connection is kept: uvicorn handles those."""

_NO_CONTENT = 204


class SingleWriteCycle(RequestResponseCycle):
    """The cycle of each request of `BoundedHttpProtocol`."""

    _start: HTTPResponseStartEvent | None = None
    """The start event, until the body follows."""

    async def send(self, message: ASGISendEvent) -> None:
        """Send the next part of the response; the application calls this."""
        if self.transport.is_closing():
            self.disconnected = True  # connection_lost follows; asyncio warns about writes until then
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
        """Write a complete response at once; return False for any other, which uvicorn writes."""
        if message["type"] != "http.response.body" or message.get("more_body"):
            return False
        if self.flow.write_paused or self.access_log or self.scope["method"] == "HEAD":
            return False
        body = message.get("body", b"")
        head = _head(start["status"], tuple(start.get("headers", ())))
        if head is None or head.length != len(body):
            return False
        self.response_started = self.response_complete = True
        default_lines, close_line = _lines(tuple(self.default_headers)), b"" if self.keep_alive else _CLOSE
        self.transport.write(b"".join((head.status, default_lines, head.lines, close_line, b"\r\n", body)))
        self.message_event.set()
        if close_line:
            self.transport.close()
        self.on_response()
        return True


class _Head(NamedTuple):
    """The start of a response; uvicorn's default headers are written between its two parts."""

    status: bytes
    lines: bytes
    length: int
    """Of the body, in bytes."""


@lru_cache(maxsize=1024)
def _head(status: int, headers: Headers) -> _Head | None:
    """Return the head of a response with a length and without connection headers; None for others."""
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    if not lengths and status == _NO_CONTENT:
        lengths = [b"0"]
    if len(lengths) != 1 or any(name.lower() in _SIGNIFICANT for name, _ in headers):
        return None
    if any(HEADER_RE.search(name) or HEADER_VALUE_RE.search(value) for name, value in headers):
        return None  # uvicorn reports the invalid header
    return _Head(STATUS_LINE[status], _lines(headers), int(lengths[0]))


@lru_cache(maxsize=1024)
def _lines(headers: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % (name.lower(), value) for name, value in headers])
