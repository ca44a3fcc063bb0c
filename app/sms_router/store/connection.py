"""One pipelined connection to Redis, for the scripts of the hot path.

Commands issued in one turn of the event loop leave in one write, and answers are matched to
callers in order. A message costs a few microseconds here where a general client costs tens
(``make bench`` keeps the figure); everything off the hot path goes through redis-py.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Any, cast

import hiredis

from sms_router.store.address import Address, Command
from sms_router.store.errors import StoreUnavailableError

Argument = bytes | str | int
RedisReply = Any
"""Whatever the command answers; the caller knows the shape."""

MOST_PENDING = 10_000
"""Commands under way; beyond it the caller is refused, so that memory is bounded."""


_INCOMPLETE = object()
"""What the reader gives while an answer is not there in full; no answer of Redis can be mistaken for it."""


def encode(text: str) -> bytes:
    """Return text as it is kept; what a handler raised or answered may hold what UTF-8 cannot."""
    return text.encode("utf-8", "backslashreplace")


class WireClosedError(StoreUnavailableError):
    """The connection ended while an answer was awaited."""


class PipelinedConnection(asyncio.Protocol):
    """One open connection. Made by `connect`; once closed it is thrown away."""

    def __init__(self, on_close: Callable[[PipelinedConnection], None]) -> None:
        """Prepare an unconnected wire; ``on_close`` is called with it, once, when it ends."""
        self._on_close = on_close
        self.loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[asyncio.Future[RedisReply], float, float]] = deque()
        self._unsent: list[bytes] = []
        self._ended = asyncio.Event()

    @property
    def oldest_pending(self) -> float | None:
        """How long the oldest unanswered command has waited, in seconds; None when none waits."""
        return self.loop.time() - self._waiting[0][1] if self._waiting else None

    @property
    def closed(self) -> bool:
        """True when nothing can be sent any more."""
        return self._transport is None or self._transport.is_closing()

    def send(self, command: Command, patience: float | None = None) -> asyncio.Future[RedisReply]:
        """Queue a command for the end of this turn of the loop; the future brings its answer.

        After ``patience`` seconds `dismiss_impatient` fails the future; the command stays under way.

        An error that Redis answers is the future's result (a ``hiredis.ReplyError``), not its
        exception: only the caller knows what it means.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            raise WireClosedError("the connection to Redis is closed")
        if len(self._waiting) >= MOST_PENDING:
            raise StoreUnavailableError(f"{MOST_PENDING} commands to Redis are already under way")
        if not self._unsent:
            self.loop.call_soon(self._flush)
        self._unsent.append(hiredis.pack_command(command))
        answer: asyncio.Future[RedisReply] = self.loop.create_future()
        now = self.loop.time()
        self._waiting.append((answer, now, inf if patience is None else now + patience))
        return answer

    def expire_callers(self) -> None:
        """Fail callers whose patience is over; one look at all of them costs less than a timer for each."""
        now = self.loop.time()
        for answer, _, until in self._waiting:
            if until <= now and not answer.done():
                answer.set_exception(StoreUnavailableError("no answer in the time that the caller has"))
                answer.exception()

    def close(self) -> None:
        """End the connection; callers that still wait get `WireClosedError`."""
        if self._transport is not None:
            self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the connection has ended and everybody who waited was told."""
        await self._ended.wait()

    def _flush(self) -> None:
        if self._transport is not None and self._unsent:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio calls this)."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand each complete answer to its caller (asyncio calls this)."""
        reader, waiting = self._reader, self._waiting
        try:
            reader.feed(data)
            while (answer := reader.gets()) is not _INCOMPLETE:
                future, _, _ = waiting.popleft()
                if not future.done():
                    future.set_result(answer)
        except (hiredis.ProtocolError, IndexError):
            # Not Redis at the other end, or out of step: nothing on this connection can be trusted.
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the callers that still wait (asyncio calls this)."""
        reason = WireClosedError(f"the connection to Redis was lost: {error or 'closed by the other side'}")
        while self._waiting:
            future, _, _ = self._waiting.popleft()
            if not future.done():
                future.set_exception(reason)
                future.exception()  # the caller may be gone: asked for once, it is not logged as forgotten
        self._ended.set()
        self._on_close(self)


async def connect(
    address: Address,
    on_close: Callable[[PipelinedConnection], None],
    prepare: Callable[[PipelinedConnection], Awaitable[None]] | None = None,
) -> PipelinedConnection:
    """Open a connection, log in and prepare it; the caller bounds the time.

    Raises:
        OSError: when nobody listens there.
        StoreUnavailableError: when Redis refuses one of these commands.

    """
    loop = asyncio.get_running_loop()
    if address.path is not None:
        _, wire = await loop.create_unix_connection(lambda: PipelinedConnection(on_close), address.path)
    else:
        _, wire = await loop.create_connection(
            lambda: PipelinedConnection(on_close), address.host, address.port, ssl=address.tls
        )
    try:
        await send_all(wire, (*address.handshake(), ("PING",)))
        if prepare is not None:
            await prepare(wire)
    except BaseException:
        wire.close()
        raise
    return wire


async def send_all(wire: PipelinedConnection, commands: Sequence[Command]) -> None:
    """Send commands at once, and see that none is refused.

    Raises:
        StoreUnavailableError: when one is, or the connection is lost.

    """
    for command, answering in [(command, wire.send(command)) for command in commands]:
        answer = await answering
        if isinstance(answer, hiredis.ReplyError):
            raise StoreUnavailableError(f"{command[0]} was refused: {answer}")
    if wire.closed:  # it ended while the last answer was on its way to us
        raise WireClosedError("the connection to Redis was lost at once")


async def ask_once(address: Address, command: Command) -> RedisReply:
    """Send one command on a connection of its own; the caller bounds the time.

    Returns what Redis answers, which may be a ``hiredis.ReplyError``.

    Raises:
        OSError: when nobody listens there.
        StoreUnavailableError: when the login is refused, or the connection lost.

    """
    wire = await connect(address, lambda _: None)
    try:
        return await wire.send(command)
    finally:
        wire.close()
        await wire.wait_closed()
