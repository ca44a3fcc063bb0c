"""One pipelined connection to Redis, for the scripts of the hot path.

Commands of one iteration of the event loop are written at once, and responses are matched to callers in
order. A message costs a few microseconds here, where a general client costs tens (``make bench`` measures
it); everything off the hot path uses redis-py.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Any, cast

import hiredis

from sms_router.store.errors import StoreUnavailableError
from sms_router.store.url import Address, Command

Argument = bytes | str | int
RedisReply = Any
"""What a command returns; the caller knows its type."""

MAX_PENDING = 10_000
"""Commands without a response; a caller beyond it is refused, so that memory is bounded."""

_HEADERS = [b"\r\n$%d\r\n" % length for length in range(4096)]
"""What precedes an argument, by its length."""

_INCOMPLETE = object()
"""Returned by the reader while a response is incomplete; it equals no response of Redis."""


def encode(text: str) -> bytes:
    """Encode text that may contain lone surrogates, as a handler's error or reply may."""
    return text.encode("utf-8", "backslashreplace")


def pack(command: Command) -> bytes:
    """Return a command as it is sent.

    Where all its parts are short bytes, as in the scripts of a message, this takes a third of the time of
    ``hiredis.pack_command``.
    """
    try:
        parts: list[bytes] = [b"\r\n"] * (2 * len(command) + 2)
        parts[0] = b"*%d" % len(command)
        parts[1:-1:2] = map(_HEADERS.__getitem__, map(len, command))
        parts[2:-1:2] = command
        return b"".join(parts)
    except (TypeError, IndexError):  # a number or text; a long part
        packed: bytes = hiredis.pack_command(command)
        return packed


class ConnectionClosedError(StoreUnavailableError):
    """The connection was closed before the response arrived."""


class PipelinedConnection(asyncio.Protocol):
    """An open connection, made by `connect`; a closed one is not opened again."""

    def __init__(self, on_close: Callable[[PipelinedConnection], None]) -> None:
        """Create an unconnected protocol; ``on_close`` is called with it, once, when it is closed."""
        self._on_close = on_close
        self.loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._transport: asyncio.Transport | None = None
        self._pending: deque[tuple[asyncio.Future[RedisReply], float, float]] = deque()
        """Each command's future, when it was sent, and when its caller gives up."""
        self._unsent: list[bytes] = []
        self._closed = asyncio.Event()

    @property
    def oldest_pending(self) -> float | None:
        """Seconds for which the oldest command has had no response; None when none is pending."""
        return self.loop.time() - self._pending[0][1] if self._pending else None

    @property
    def is_closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def send(self, command: Command | bytes, time_limit: float | None = None) -> asyncio.Future[RedisReply]:
        """Send a command, or what `pack` returns of one, at the end of this iteration of the event loop.

        An error of Redis is the future's result (a ``hiredis.ReplyError``), not its exception: only the
        caller knows what it means. After ``time_limit`` seconds `expire_callers` fails the future; the
        command stays pending.

        Raises:
            ConnectionClosedError: when the connection is closed.
            StoreUnavailableError: when `MAX_PENDING` commands are pending.

        """
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionClosedError("the connection to Redis is closed")
        if len(self._pending) >= MAX_PENDING:
            raise StoreUnavailableError(f"{MAX_PENDING} commands to Redis are pending")
        loop, unsent = self.loop, self._unsent
        if not unsent:
            loop.call_soon(self._flush)
        unsent.append(command if isinstance(command, bytes) else pack(command))
        future: asyncio.Future[RedisReply] = loop.create_future()
        now = loop.time()
        self._pending.append((future, now, inf if time_limit is None else now + time_limit))
        return future

    def expire_callers(self) -> None:
        """Fail callers whose time limit has passed. One sweep is cheaper than a timer per call."""
        now = self.loop.time()
        for future, _, expires in self._pending:
            if expires <= now and not future.done():
                future.set_exception(StoreUnavailableError("no response within the caller's time limit"))
                future.exception()

    def close(self) -> None:
        """Close the connection; pending callers get `ConnectionClosedError`."""
        if self._transport is not None:
            self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed and every caller has its error."""
        await self._closed.wait()

    def _flush(self) -> None:
        if self._transport is not None and self._unsent:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        reader, pending = self._reader, self._pending
        try:
            reader.feed(data)
            while (response := reader.gets()) is not _INCOMPLETE:
                future, _, _ = pending.popleft()
                if not future.done():
                    future.set_result(response)
        except (hiredis.ProtocolError, IndexError):
            # The server is not Redis, or sent a response to no command: nothing it sends can be trusted.
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        reason = f"the connection to Redis was lost: {error or 'closed by the server'}"
        closed = ConnectionClosedError(reason)
        while self._pending:
            future, _, _ = self._pending.popleft()
            if not future.done():
                future.set_exception(closed)
                future.exception()  # marks it as retrieved: a caller that is gone causes no log line
        self._closed.set()
        self._on_close(self)


async def connect(
    address: Address,
    on_close: Callable[[PipelinedConnection], None],
    prepare: Callable[[PipelinedConnection], Awaitable[None]] | None = None,
) -> PipelinedConnection:
    """Open a connection, log in, and call ``prepare`` with it; the caller sets a timeout.

    Raises:
        OSError: when no server listens there.
        StoreUnavailableError: when Redis refuses one of these commands.

    """
    loop = asyncio.get_running_loop()
    if address.path is not None:
        _, connection = await loop.create_unix_connection(lambda: PipelinedConnection(on_close), address.path)
    else:
        _, connection = await loop.create_connection(
            lambda: PipelinedConnection(on_close), address.host, address.port, ssl=address.tls
        )
    try:
        await run_all(connection, (*address.handshake(), ("PING",)))
        if prepare is not None:
            await prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


async def run_all(connection: PipelinedConnection, commands: Sequence[Command]) -> None:
    """Run commands in one write; none may fail.

    Raises:
        StoreUnavailableError: when one fails, or the connection is lost.

    """
    for command, future in [(command, connection.send(command)) for command in commands]:
        response = await future
        if isinstance(response, hiredis.ReplyError):
            raise StoreUnavailableError(f"{command[0]} was refused: {response}")
    if connection.is_closed:  # it was closed together with the last response
        raise ConnectionClosedError("the connection to Redis was lost at once")


async def run_once(address: Address, command: Command) -> RedisReply:
    """Run one command on a connection of its own; the caller sets a timeout.

    Returns what Redis returns, which may be a ``hiredis.ReplyError``.

    Raises:
        OSError: when no server listens there.
        StoreUnavailableError: when the login is refused, or the connection lost.

    """
    connection = await connect(address, lambda _: None)
    try:
        return await connection.send(command)
    finally:
        connection.close()
        await connection.wait_closed()
