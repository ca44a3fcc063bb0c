"""A site over raw sockets, which answers each path in its own way, however wrong; and who asks it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The parameters of a POST."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(slots=True)
class Site:
    """``pages`` says how each path is answered."""

    port: int = 0
    pages: dict[str, Behaviour] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    greeting: bytes = b""
    """What is sent before anything is asked, which is no way for HTTP or TLS to begin."""

    @property
    def url(self) -> str:
        """Where it is, by number."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def targets(self) -> list[str]:
        """What was asked for, in order."""
        return [asked.target for asked in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        writer.write(self.greeting)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                asked = await _read(reader)
                self.asked.append(asked)
                await self.pages[asked.target.partition("?")[0]](writer)
                await writer.drain()
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers.get("Content-Length", "0")))
    return Asked(method, target, headers, body)


@contextlib.asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """Run a site on a port of its own; whatever it is still doing at the end is ended."""
    here = Site()
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await here.serve(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            serving.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await server.wait_closed()


def answers(
    body: str | bytes = "<Response/>",
    status: str = "200 OK",
    media_type: str | None = "text/xml",
    **headers: str,
) -> Behaviour:
    """Answer properly; ``_`` in the names of headers stands for a hyphen."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}"]
    lines += [f"Content-Type: {media_type}"] if media_type is not None else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return sends("\r\n".join(lines).encode() + b"\r\n\r\n" + content)


def says(*texts: str) -> Behaviour:
    """Answer with messages."""
    return answers(f"<Response>{''.join(f'<Message>{text}</Message>' for text in texts)}</Response>")


def sends(raw: bytes, *, then_closes: bool = False) -> Behaviour:
    """Send bytes, whatever they are."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        if then_closes:
            await writer.drain()
            raise ConnectionError

    return behave


async def hangs(_: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def drips(writer: asyncio.StreamWriter) -> None:
    """Send a proper answer, a few bytes at a time and without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 60000\r\n\r\n<Response>")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)
