"""One pipelined connection to Redis, for the scripts of the hot path.

Commands issued in one turn of the event loop leave in one write, and answers are matched to
callers in order. A message costs a few microseconds here where a general client costs tens
(``make bench`` keeps the figure); everything off the hot path goes through redis-py.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import hiredis
from redis.connection import parse_url

from app.store.errors import StoreUnavailableError

Argument = bytes | str | int
Command = tuple[Any, ...]
Answer = Any
"""Whatever the command answers; the caller knows the shape."""

MOST_PENDING = 10_000
"""Commands under way; beyond it the caller is refused, so that memory is bounded."""


class WireClosedError(StoreUnavailableError):
    """The connection ended while an answer was awaited."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is, and how to log in."""

    host: str
    port: int
    path: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, url: str) -> Address:
        """Read ``redis://``, ``rediss://`` or ``unix://``.

        Raises:
            ValueError: when the URL is none of them.

        """
        parts: dict[str, Any] = dict(parse_url(url))
        return cls(
            host=parts.get("host", "localhost"),
            port=int(parts.get("port", 6379)),
            path=parts.get("path"),
            username=parts.get("username"),
            password=parts.get("password"),
            database=int(parts.get("db", 0)),
            tls=ssl.create_default_context() if url.startswith("rediss://") else None,
        )

    def greeting(self) -> list[Command]:
        """Return the commands that a new connection begins with."""
        commands: list[Command] = []
        if self.password:
            login = (self.username, self.password) if self.username else (self.password,)
            commands.append(("AUTH", *login))
        if self.database:
            commands.append(("SELECT", self.database))
        return commands


class Wire(asyncio.Protocol):
    """One open connection. Made by `connect`; once closed it is thrown away."""

    def __init__(self, on_close: Callable[[Wire], None]) -> None:
        """Prepare an unconnected wire; ``on_close`` is called with it, once, when it ends."""
        self._on_close = on_close
        self.loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[asyncio.Future[Answer], float]] = deque()
        self._unsent: list[bytes] = []

    @property
    def longest_wait(self) -> float:
        """How long the oldest unanswered command has waited, in seconds; 0 when none waits."""
        return self.loop.time() - self._waiting[0][1] if self._waiting else 0.0

    def send(self, command: Command) -> asyncio.Future[Answer]:
        """Queue a command for the end of this turn of the loop; the future brings its answer.

        An error that Redis answers is the future's result (a ``hiredis.ReplyError``), not its
        exception: only the caller knows what it means.
        """
        if self._transport is None or self._transport.is_closing():
            raise WireClosedError("the connection to Redis is closed")
        if len(self._waiting) >= MOST_PENDING:
            raise StoreUnavailableError(f"{MOST_PENDING} commands to Redis are already under way")
        if not self._unsent:
            self.loop.call_soon(self._flush)
        self._unsent.append(hiredis.pack_command(command))
        answer: asyncio.Future[Answer] = self.loop.create_future()
        self._waiting.append((answer, self.loop.time()))
        return answer

    def close(self) -> None:
        """End the connection; whoever still waits gets `WireClosedError`."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if self._transport is not None and self._unsent:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio calls this)."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand each complete answer to whoever asked (asyncio calls this)."""
        reader, waiting = self._reader, self._waiting
        try:
            reader.feed(data)
            while (answer := reader.gets()) is not False:
                future, _ = waiting.popleft()
                if not future.done():
                    future.set_result(answer)
        except (hiredis.ProtocolError, IndexError):
            # Not Redis at the other end, or out of step: nothing on this connection can be trusted.
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail whoever still waits (asyncio calls this)."""
        reason = WireClosedError(f"the connection to Redis was lost: {error or 'closed by the other side'}")
        while self._waiting:
            future, _ = self._waiting.popleft()
            if not future.done():
                future.set_exception(reason)
                future.exception()  # the caller may be gone: asked for once, it is not logged as forgotten
        self._on_close(self)


async def connect(address: Address, on_close: Callable[[Wire], None]) -> Wire:
    """Open a connection and log in; the caller bounds the time.

    Raises:
        OSError: when nobody listens there.
        StoreUnavailableError: when Redis refuses the login.

    """
    loop = asyncio.get_running_loop()
    if address.path is not None:
        _, wire = await loop.create_unix_connection(lambda: Wire(on_close), address.path)
    else:
        _, wire = await loop.create_connection(
            lambda: Wire(on_close), address.host, address.port, ssl=address.tls
        )
    try:
        for command in (*address.greeting(), ("PING",)):
            answer = await wire.send(command)
            if isinstance(answer, hiredis.ReplyError):
                raise StoreUnavailableError(f"{command[0]!s} was refused: {answer}")
    except BaseException:
        wire.close()
        raise
    return wire
