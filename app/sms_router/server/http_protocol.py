"""uvicorn's HTTP protocol, with bounds on the time and size of requests, and one write per response.

uvicorn limits concurrent requests, but waits without limit for an incomplete one, reads a head of any length,
and counts idle connections as concurrent requests: any client could stop the service with those. Here
connections with incomplete requests are closed first.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from functools import lru_cache
from math import inf
from typing import ClassVar, cast
from urllib.parse import unquote

from httptools import parse_url
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sms_router.server.http_cycle import SingleWriteCycle

MAX_HEAD_BYTES = 65_536
"""Of request line and headers; a webhook sent as GET has a few thousand."""

MAX_REQUEST_BYTES = 1_048_576
"""A body that is too large is refused much earlier; up to this size it is still read, so that the client gets
the response."""

MAX_HEADERS = 128
"""Of one request, trailers included; Twilio and a chain of proxies send some 40. Each short header takes
twenty times its length in memory."""

MAX_CHUNKS = 256
"""Of one body; each takes the time of half a kilobyte, however short it is. A proxy sends a few."""

MAX_PIPELINED_REQUESTS = 4
"""That wait on one connection for the response to an earlier one. The last of them closes the connection:
its client sends the others again (RFC 9112, section 9.3.2). Twilio does not pipeline."""

MAX_UNSENT_BYTES = 16_384
"""Of responses that the client has not read, beyond which no further response is written."""

MAX_CACHED_URL = 256
"""Bytes of a URL that is parsed once; nearly all requests have the same few."""

MAX_WAITING_BYTES = 33_554_432
"""Of incomplete and pipelined requests, and of unread responses, on all connections of a worker; beyond it
those that hold most are closed."""

_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


class _StopParsingError(Exception):
    """Ends the parser's loop from one of its callbacks."""


@lru_cache(maxsize=64)
def _parse_url(url: bytes) -> tuple[str, bytes, bytes]:
    """Return the path, decoded and raw, and the query of a request's target."""
    parsed = parse_url(url)
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.path, parsed.query or b""


class _ReadState(Enum):
    """How much of the latest request is read."""

    HEAD = "the head is incomplete"
    BODY = "the body is incomplete"
    COMPLETE = "the request is complete"


_HEAD, _BODY, _COMPLETE = _ReadState  # a global name is read faster than the member of an enum


class BoundedHttpProtocol(HttpToolsProtocol):
    """The class for uvicorn's option ``http``.

    What one connection holds is bounded: the head in bytes and in headers, the body, the requests that wait,
    and the responses that are not read.

    An idle connection is closed after ``timeout_keep_alive`` seconds, or up to `HEADER_TIMEOUT` later.

    With ``limit_concurrency``, at most three quarters of it are connections: beyond that, those that are idle
    or have incomplete requests are closed. Only requests in progress can reach the limit itself.
    """

    HEADER_TIMEOUT: ClassVar[float] = 10.0
    """Seconds from the connection, or from the first byte of a later request, to the end of the head."""

    SHUTDOWN_GRACE: ClassVar[float] = 0.25
    """Seconds that an idle connection is kept during shutdown: a request may be in transit."""

    _read_state: _ReadState = _HEAD
    _is_shutting_down = False
    _request_bytes = 0
    """Bytes read of the current request."""
    _chunks = 0
    """Of the current request's body."""
    _request_began = 0.0
    """Start of the latest request, in the event loop's time."""
    _write_paused_since = inf
    """Since when the client does not read its responses, in the event loop's time."""
    _idle_since = 0.0
    """End of the latest response, in the event loop's time."""
    _counted_bytes = 0
    """What this connection has in `_waiting_bytes`."""
    _accepts_requests = True
    """False once the last request that is answered here has begun."""
    _timeout_check: asyncio.TimerHandle

    _waiting_bytes: ClassVar[int] = 0
    """Of all connections of this process."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close other connections when there are too many, and schedule the timeouts."""
        limit = self.limit_concurrency
        if limit is not None and len(self.connections) >= limit - limit // 4:
            self._evict_connections(limit // 16 + 1)
        super().connection_made(cast("asyncio.Transport", transport))
        self.transport.set_write_buffer_limits(high=MAX_UNSENT_BYTES)
        self._request_began = self.loop.time()
        self._timeout_check = self.loop.call_later(self.HEADER_TIMEOUT, self._check_timeouts)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timeout_check.cancel()
        self._discount_bytes()
        self.pipeline.clear()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_paused_since = self.loop.time()
        self._count_waiting_bytes()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._write_paused_since = inf
        self._count_waiting_bytes()

    def data_received(self, data: bytes) -> None:
        if self._read_state is _COMPLETE:
            if not self._accepts_requests:
                return
            self._read_state = _HEAD
            self._request_began = self.loop.time()
        self._request_bytes += len(data)
        if self._request_bytes <= MAX_HEAD_BYTES:
            super().data_received(data)
        else:
            self._read_beyond_head_limit(data)
        if self._read_state is not _COMPLETE or self.pipeline:
            self._count_waiting_bytes()

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refuses, and close; the parser's own stops need no answer."""
        if self.transport.is_closing() or (self._read_state is _COMPLETE and not self._accepts_requests):
            return
        if self._read_state is _HEAD and self._is_busy:  # an earlier request would get this response
            self.transport.close()
        else:
            super().send_400_response(msg)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; it replaces uvicorn's method, because a second call for each would cost too much."""
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        headers = self.headers
        headers.append((name, value))
        if len(headers) > MAX_HEADERS:
            self._refuse_head()
            raise _StopParsingError

    def on_headers_complete(self) -> None:
        """Start the request; the parser calls this.

        It replaces uvicorn's method, in which the class of the cycle is fixed.
        """
        if not self._accepts_requests:
            raise _StopParsingError
        self._read_state = _BODY
        self._fill_scope()
        previous = self.cycle
        self.cycle = SingleWriteCycle(
            self.scope,
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            self.access_log,
            self.server_state.default_headers,
            asyncio.Event(),
            self.expect_100_continue,
            not self._is_shutting_down
            and self.scope["http_version"] != "1.0"
            and self.parser.should_keep_alive(),
            self.on_response_complete,
        )
        app = service_unavailable if self._overloaded() else self.app
        if previous is None or previous.response_complete:
            self._start_asgi_task(self.cycle, app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, app))
            if len(self.pipeline) >= MAX_PIPELINED_REQUESTS:
                self.cycle.keep_alive = self._accepts_requests = False

    def on_chunk_header(self) -> None:
        self._chunks += 1
        if self._chunks > MAX_CHUNKS:
            raise _StopParsingError

    def on_message_complete(self) -> None:
        self._read_state = _COMPLETE
        self._request_bytes = self._chunks = 0
        if self._counted_bytes:
            self._count_waiting_bytes()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Start the next pipelined request, if there is one; the cycle calls this.

        uvicorn sets and cancels a keep-alive timer for each request. Here `_check_timeouts`, which runs
        periodically, closes the connections that are idle for too long.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            self._count_waiting_bytes()
        else:
            self._idle_since = self.loop.time()

    def shutdown(self) -> None:
        """Finish the current request and close; uvicorn calls this when the server stops.

        uvicorn closes idle connections at once. A request in transit is then reset, which Twilio does not
        retry (facts 1.4): the contact would get the fallback's reply.
        """
        self._is_shutting_down = True
        if self._is_busy:
            super().shutdown()
        else:
            self.loop.call_later(self.SHUTDOWN_GRACE, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if not self._is_busy and not self.transport.is_closing():
            self._close()

    def _unsupported_upgrade_warning(self) -> None:
        """Answer a request with an Upgrade header in HTTP/1.1, and close: the parser does not read its body.

        uvicorn would parse that body as the next request (request smuggling): the next client behind the same
        proxy would get a response that is not its own.
        """
        self.logger.warning(
            "A request asks for a protocol upgrade; its body is not read. Let the proxy drop Upgrade headers."
        )
        self.cycle.keep_alive = False

    def _fill_scope(self) -> None:
        scope, url = self.scope, self.url
        parse = _parse_url if len(url) <= MAX_CACHED_URL else _parse_url.__wrapped__
        scope["path"], scope["raw_path"], scope["query_string"] = parse(url)
        scope["http_version"] = self.parser.get_http_version()
        scope["method"] = self.parser.get_method().decode("ascii")

    def _overloaded(self) -> bool:
        limit = self.limit_concurrency
        if limit is None or max(len(self.connections), len(self.tasks)) < limit:
            return False
        self.logger.warning("Exceeded concurrency limit.")
        return True

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _is_evictable(self) -> bool:
        """Whether no complete request waits here for a response that the client reads."""
        return self._read_state is _BODY or not self._is_busy or self._write_paused_since < inf

    def _read_beyond_head_limit(self, data: bytes) -> None:
        """Read data that ends beyond `MAX_HEAD_BYTES`: the allowed rest of the head, then the body."""
        if self._read_state is _HEAD:
            room = MAX_HEAD_BYTES - (self._request_bytes - len(data))
            super().data_received(data[:room])
            data = data[room:]
            if self._read_state is _HEAD:
                self._refuse_head()
        if self._request_bytes > MAX_REQUEST_BYTES:
            self.transport.close()
        if not self.transport.is_closing():
            super().data_received(data)

    def _refuse_head(self) -> None:
        if not self.transport.is_closing() and not self._is_busy:
            self.transport.write(_HEAD_TOO_LARGE)
        self.transport.close()

    def _count_waiting_bytes(self) -> None:
        """Count what is held of requests that wait and of responses that are not read.

        The connections that hold most are closed when all hold too much.
        """
        if self.transport.is_closing():
            return
        protocol = BoundedHttpProtocol
        waiting = self._request_bytes + sum(len(cycle.body) for cycle, _ in self.pipeline)
        if self._write_paused_since < inf:
            waiting += self.transport.get_write_buffer_size()
        protocol._waiting_bytes += waiting - self._counted_bytes
        self._counted_bytes = waiting
        if protocol._waiting_bytes > MAX_WAITING_BYTES:
            holders = [
                connection for connection in self.connections if isinstance(connection, BoundedHttpProtocol)
            ]
            holders.sort(key=lambda connection: connection._counted_bytes, reverse=True)
            for connection in holders[: len(holders) // 16 + 1]:
                connection.transport.abort()
                connection._discount_bytes()
                # connection_lost follows when all other connections have been read
                connection.pipeline.clear()
                connection.headers = []
                if connection.cycle is not None:
                    connection.cycle.body = b""

    def _discount_bytes(self) -> None:
        BoundedHttpProtocol._waiting_bytes -= self._counted_bytes
        self._counted_bytes = 0

    def _check_timeouts(self) -> None:
        """Close the connection when a timeout has expired, else schedule the next check."""
        now, deadline = self.loop.time(), self._request_began + self.HEADER_TIMEOUT
        head_is_late = self._read_state is _HEAD and deadline <= now and not self._is_busy
        body_was_refused = self._read_state is _BODY and not self._is_busy
        responses_are_unread = now - self._write_paused_since >= self.HEADER_TIMEOUT
        is_idle = self._read_state is _COMPLETE and not self._is_busy
        is_idle_too_long = is_idle and now - self._idle_since >= self.timeout_keep_alive
        if head_is_late or body_was_refused or responses_are_unread or is_idle_too_long:
            self._close()
        else:
            next_check = deadline if deadline > now else now + self.HEADER_TIMEOUT
            self._timeout_check = self.loop.call_at(next_check, self._check_timeouts)

    def _evict_connections(self, count: int) -> None:
        """Close connections: first those with incomplete requests, the oldest of these first."""
        evictable = [
            connection
            for connection in self.connections
            if isinstance(connection, BoundedHttpProtocol) and connection._is_evictable
        ]
        evictable.sort(
            key=lambda connection: (connection._read_state is _COMPLETE, connection._request_began)
        )
        for connection in evictable[:count]:
            connection._close()
            self.connections.discard(connection)

    def _close(self) -> None:
        """Close; a client that does not read gets no chance to delay it."""
        if self._write_paused_since < inf:
            self.transport.abort()
        else:
            self.transport.close()
