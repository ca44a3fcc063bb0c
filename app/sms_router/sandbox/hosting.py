"""Serving an ASGI application inside a running event loop, and free ports for other servers."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp


class HostingError(Exception):
    """The application cannot be served; the text has the reason."""


_reserved: deque[int] = deque(maxlen=200)
"""File descriptors of bound sockets."""


def free_port() -> int:
    """Return a port of loopback for a server that is about to start.

    It stays bound here, so that the system gives it to no other program before that server listens; a
    server that sets SO_REUSEADDR, as all do, can listen on it all the same. The 200 newest stay bound.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    port = int(holder.getsockname()[1])
    if len(_reserved) == _reserved.maxlen:
        os.close(_reserved[0])
    _reserved.append(holder.detach())
    return port


@asynccontextmanager
async def serve(app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    """Serve an application on loopback, and yield its base URL; port 0 is any free one.

    uvicorn binds the port itself: asyncio sets no TCP_NODELAY for a listening socket whose protocol
    number was left at 0, and each response would then wait 40 ms for the caller's acknowledgement.
    Its ``serve`` is not used, because it installs signal handlers for the process, nor its ``shutdown``,
    because that always sleeps for a tenth of a second.

    Raises:
        HostingError: when the port is taken.

    """
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, ws="none", access_log=False, proxy_headers=False, log_config=None
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    try:
        await server.startup()
    except SystemExit as error:
        raise HostingError(f"127.0.0.1:{port} cannot be used; another program listens there.") from error
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        for listener in server.servers:
            listener.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        await server.lifespan.shutdown()
        await asyncio.sleep(0)  # a transport closes its socket in the next iteration of the loop
