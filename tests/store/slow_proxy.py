"""A Unix socket in front of another one, whose answers come late."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

INSTANT = 1e-6
"""Seconds between two answers at the least, so that the loop knows their order."""


class SlowProxy:
    """Passes bytes on; ``delay`` is in seconds, for each answer, and may be changed at any time."""

    def __init__(self, target: str, path: Path, delay: float) -> None:
        self.delay = delay
        self._target = target
        self._path = path
        self._passing: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[SlowProxy]:
        """Listen, and close everything that was opened at the end."""
        server = await asyncio.start_unix_server(self._serve, self._path)
        try:
            yield self
        finally:
            server.close()
            for task in self._passing:
                task.cancel()
            await asyncio.gather(*self._passing, return_exceptions=True)
            for each in self._writers:
                each.close()
            await asyncio.gather(*(each.wait_closed() for each in self._writers), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            back, forth = await asyncio.open_unix_connection(self._target)
        except OSError:
            writer.close()
            return
        self._writers.append(forth)
        self._passing.append(asyncio.create_task(self._pump(reader, forth, late=False)))
        self._passing.append(asyncio.create_task(self._pump(back, writer, late=True)))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, late: bool) -> None:
        """Pass on; each chunk has its own delay, as on a line with high latency."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if late:
                    due = max(due + INSTANT, loop.time() + self.delay)  # nothing overtakes when it is changed
                    loop.call_at(due, _write, writer, data)
                else:
                    writer.write(data)
                    await writer.drain()
        loop.call_at(due + INSTANT, writer.close)


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Pass on, unless the other end has gone meanwhile."""
    if not writer.is_closing():
        writer.write(data)
