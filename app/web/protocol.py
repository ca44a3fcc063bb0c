"""uvicorn's HTTP protocol, with each response leaving in one write.

uvicorn writes the head and the body of a response apart, which costs a second system call and a
second packet for every text that is answered. Here whatever is written in one turn of the event
loop leaves together.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class OneWriteProtocol(HttpToolsProtocol):
    """What ``uvicorn.run(http=...)`` is given."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Put the gathering transport between uvicorn and the socket (asyncio calls this)."""
        gathering = _GatheringTransport(cast("asyncio.Transport", transport), self.loop)
        super().connection_made(cast("asyncio.Transport", gathering))


class _GatheringTransport:
    """A transport that keeps what is written until the end of the turn; everything else goes through."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._unsent: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Keep the data for the end of this turn of the loop."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(data)

    def close(self) -> None:
        """Send what is kept, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._unsent:
            data = b"".join(self._unsent)
            self._unsent.clear()
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
