"""uvicorn's HTTP protocol, with bounds on what a connection may owe, and one write per response.

uvicorn bounds requests, but waits for ever for one that never comes, reads a head of any length,
and counts idle connections as if they were work. Whoever can reach the port could stop the service
with that; here a connection that owes us something is the first to go.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from math import inf
from typing import ClassVar, cast
from urllib.parse import unquote

from httptools import parse_url
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sms_router.server.http_cycle import SingleWriteCycle

LONGEST_HEAD = 65_536
"""Bytes of request line and headers; a text in the query of a GET has a few thousand."""

LARGEST_REQUEST = 1_048_576
"""Bytes; what is read of a request that was refused long before, so that its sender hears of it."""

_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class _ReadState(Enum):
    """What came of the latest request."""

    HEAD = "the head is owed"
    BODY = "the body is owed"
    WHOLE = "nothing is owed"


_HEAD, _BODY, _WHOLE = _ReadState  # reading a member of an enum costs a text more than reading a name


class BoundedHttpProtocol(HttpToolsProtocol):
    """What uvicorn is given as ``http``.

    A connection at rest is closed after ``timeout_keep_alive`` seconds, or up to `HEADER_TIMEOUT` later.

    Where ``limit_concurrency`` is set, three quarters of it are kept for connections, at the cost
    of those that owe something or rest; so it is reached only by requests that are at work.
    """

    HEADER_TIMEOUT: ClassVar[float] = 10.0
    """Seconds from connecting, or from the first byte of a later request, to the end of its head."""

    SHUTDOWN_GRACE: ClassVar[float] = 0.25
    """Seconds that a connection at rest is kept when the server stops: a text may be on its way already."""

    _stage: _ReadState = _HEAD
    _stopping = False
    _size = 0
    """Bytes of the request that is being read."""
    _since = 0.0
    """When the latest request began, on the loop's clock."""
    _unread_since = inf
    """Since when nobody has taken what is to be sent; its answers would wait for that for ever."""
    _resting_since = 0.0
    """When the latest answer was given."""
    _watch: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make room where there is little, and begin to watch (asyncio calls this)."""
        limit = self.limit_concurrency
        if limit is not None and len(self.connections) >= limit - limit // 4:
            self._evict_connections(limit // 16 + 1)
        super().connection_made(cast("asyncio.Transport", transport))
        self._since = self.loop.time()
        self._watch = self.loop.call_later(self.HEADER_TIMEOUT, self._check_timeouts)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching (asyncio calls this)."""
        self._watch.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Note that the other side does not read (the transport calls this)."""
        super().pause_writing()
        self._unread_since = self.loop.time()

    def resume_writing(self) -> None:
        """Note that it reads again (the transport calls this)."""
        super().resume_writing()
        self._unread_since = inf

    def data_received(self, data: bytes) -> None:
        """Read on, within bounds (asyncio calls this)."""
        if self._stage is _WHOLE:
            self._stage = _HEAD
            self._since = self.loop.time()
        self._size += len(data)
        if self._size <= LONGEST_HEAD:
            super().data_received(data)
        else:
            self._read_much(data)

    def on_headers_complete(self) -> None:
        """Begin to work on the request (the parser calls this).

        In place of uvicorn's: it has no way to say which cycle it makes.
        """
        self._stage = _BODY
        self._describe()
        before = self.cycle
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
            not self._stopping and self.scope["http_version"] != "1.0" and self.parser.should_keep_alive(),
            self.on_response_complete,
        )
        app = service_unavailable if self._overloaded() else self.app
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, app))

    def on_message_complete(self) -> None:
        """Note that the request is there (the parser calls this)."""
        self._stage = _WHOLE
        self._size = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Take up the next request, if one has come already (the cycle calls this).

        uvicorn sets a timer for every rest between two requests, and cancels it at the next one; here
        `_look`, which comes by anyway, ends the rests that are too long.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._resting_since = self.loop.time()

    def shutdown(self) -> None:
        """Answer what has come, say that nothing more is taken, and close (a server that stops calls this).

        uvicorn closes what is at rest at once. Whoever sends a text in that moment sees its connection reset,
        which is no reason for Twilio to try again (facts 1.4): the person would get the fallback's reply.
        """
        self._stopping = True
        if self._at_work:
            super().shutdown()
        else:
            self.loop.call_later(self.SHUTDOWN_GRACE, self._stop_resting)

    def _stop_resting(self) -> None:
        if not self._at_work and not self.transport.is_closing():
            self._close()

    def _unsupported_upgrade_warning(self) -> None:
        """Answer what asks for another protocol in HTTP/1.1, and close: the parser leaves its body unread.

        uvicorn would take that body for the next request, and a proxy in front for this one's: whoever
        came next through the proxy would get an answer that is not theirs.
        """
        self.logger.warning(
            "A request asks for another protocol; its body is not read. Let the proxy drop Upgrade headers."
        )
        self.cycle.keep_alive = False

    def _describe(self) -> None:
        """Put into the scope what the head has said."""
        scope, url = self.scope, parse_url(self.url)
        path = url.path.decode("ascii")
        scope["http_version"] = self.parser.get_http_version()
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""

    def _overloaded(self) -> bool:
        limit = self.limit_concurrency
        if limit is None or max(len(self.connections), len(self.tasks)) < limit:
            return False
        self.logger.warning("Exceeded concurrency limit.")
        return True

    @property
    def _at_work(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _evictable(self) -> bool:
        """True while nobody waits for an answer here whose request is whole."""
        return self._stage is _BODY or not self._at_work or self._unread_since < inf

    def _read_much(self, data: bytes) -> None:
        """Read as much of the head as it may have, or of the body after it."""
        if self._stage is _HEAD:
            room = LONGEST_HEAD - (self._size - len(data))
            super().data_received(data[:room])
            data = data[room:]
            if self._stage is _HEAD:
                self._refuse_head()
        if self._size > LARGEST_REQUEST:
            self.transport.close()
        if not self.transport.is_closing():
            super().data_received(data)

    def _refuse_head(self) -> None:
        if not self.transport.is_closing() and not self._at_work:
            self.transport.write(_TOO_LONG)
        self.transport.close()

    def _check_timeouts(self) -> None:
        """Close when something has been owed for too long, else look again when it would be."""
        now, due = self.loop.time(), self._since + self.HEADER_TIMEOUT
        late = self._stage is _HEAD and due <= now and not self._at_work
        pointless = self._stage is _BODY and not self._at_work
        unread = now - self._unread_since >= self.HEADER_TIMEOUT
        at_rest = self._stage is _WHOLE and not self._at_work
        rested = at_rest and now - self._resting_since >= self.timeout_keep_alive
        if late or pointless or unread or rested:
            self._close()
        else:
            again = due if due > now else now + self.HEADER_TIMEOUT
            self._watch = self.loop.call_at(again, self._check_timeouts)

    def _evict_connections(self, count: int) -> None:
        """Close some connections: first those that owe something, and of these the oldest."""
        spare = [
            each for each in self.connections if isinstance(each, BoundedHttpProtocol) and each._evictable
        ]
        spare.sort(key=lambda each: (each._stage is _WHOLE, each._since))
        for each in spare[:count]:
            each._close()
            self.connections.discard(each)

    def _close(self) -> None:
        """Close; where the other side does not read, without waiting for it to do so."""
        if self._unread_since < inf:
            self.transport.abort()
        else:
            self.transport.close()
