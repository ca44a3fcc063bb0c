"""An HTTP server over raw sockets, whose response to each path is any sequence of bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The parameters of a POST."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(slots=True)
class RawServer:
    """``pages`` has the behaviour of each path."""

    port: int = 0
    pages: dict[str, Behaviour] = field(default_factory=dict)
    requests: list[ReceivedRequest] = field(default_factory=list)
    connections: int = 0
    greeting: bytes = b""
    """Bytes that are sent before any request, with which neither HTTP nor TLS can begin."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle the requests of one connection."""
        self.connections += 1
        writer.write(self.greeting)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await _read(reader)
                self.requests.append(request)
                await self.pages[request.target.partition("?")[0]](writer)
                await writer.drain()
        writer.close()


async def _read(reader: asyncio.StreamReader) -> ReceivedRequest:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers.get("Content-Length", "0")))
    return ReceivedRequest(method, target, headers, body)


@contextlib.asynccontextmanager
async def serve() -> AsyncIterator[RawServer]:
    """Run a server on a port of its own; at the end, its connections are aborted."""
    server = RawServer()
    connections: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await server.handle(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            connections.discard(task)
            writer.transport.abort()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await listener.wait_closed()


def response(
    body: str | bytes = "<Response/>",
    status: str = "200 OK",
    media_type: str | None = "text/xml",
    **headers: str,
) -> Behaviour:
    """Send a well-formed response; ``_`` in the names of headers stands for a hyphen."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}"]
    lines += [f"Content-Type: {media_type}"] if media_type is not None else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return raw_bytes("\r\n".join(lines).encode() + b"\r\n\r\n" + content)


def messages(*texts: str) -> Behaviour:
    """Respond with TwiML that sends these texts."""
    return response(f"<Response>{''.join(f'<Message>{text}</Message>' for text in texts)}</Response>")


def raw_bytes(content: bytes, *, then_close: bool = False) -> Behaviour:
    """Send any bytes."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        if then_close:
            await writer.drain()
            raise ConnectionError

    return send


async def hang(_: asyncio.StreamWriter) -> None:
    """Never respond."""
    await asyncio.Event().wait()


async def drip(writer: asyncio.StreamWriter) -> None:
    """Send a response byte by byte, without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 60000\r\n\r\n<Response>")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)
