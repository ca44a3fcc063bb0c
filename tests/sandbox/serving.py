"""Real servers on free ports of loopback, in the test's own event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an application, and yield its base URL.

    uvicorn binds the port itself: asyncio sets no TCP_NODELAY for a listening socket whose protocol
    number was left at 0, and each answer would then wait 40 ms for the caller's acknowledgement.
    Its own ``shutdown`` is not used, because it always sleeps for a tenth of a second.
    """
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", ws="none")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    assert server.started, "the application did not start"
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    for listener in server.servers:
        listener.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    await server.lifespan.shutdown()
    await asyncio.sleep(0)  # closed transports say goodbye in the next turn of the loop


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
