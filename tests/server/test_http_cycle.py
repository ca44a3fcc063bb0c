"""The bytes of a response are those that uvicorn writes, whatever the response is."""

from __future__ import annotations

import asyncio
import re

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sms_router.server.http_protocol import BoundedHttpProtocol

LAST = b"GET /last HTTP/1.1\r\nConnection: close\r\n\r\n"


class Responses:
    """Sends certain messages, and a short response to the last request."""

    def __init__(self, *messages: Message) -> None:
        self.messages = messages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in self.messages if scope["path"] != "/last" else whole(b"bye"):
            await send(message)


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(text: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": text, "more_body": more}


def length(count: int) -> tuple[bytes, bytes]:
    return (b"Content-Length", b"%d" % count)


def whole(text: bytes) -> tuple[Message, Message]:
    return start(200, length(len(text))), body(text)


async def written(protocol: type[HttpToolsProtocol], application: Responses, request: bytes) -> bytes:
    """Return all that comes back, without its dates."""
    config = uvicorn.Config(
        application, port=0, http=protocol, ws="none", lifespan="off", access_log=False, log_config=None
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request + LAST)
        async with asyncio.timeout(10):
            answered = await reader.read()
        writer.close()
        await writer.wait_closed()
    finally:
        await server.shutdown()
    return re.sub(rb"date: [^\r]+", b"date: today", answered)


RESPONSES = {
    "a text": whole(b"hello"),
    "an empty body": whole(b""),
    "no content": (start(204), body()),
    "several headers": (start(403, (b"X-A", b"1"), (b"x-a", b"2"), length(2)), body(b"no")),
    "two parts": (start(200, length(4)), body(b"ab", more=True), body(b"cd")),
    "of unknown length": (start(), body(b"ab", more=True), body(b"cd"), body()),
    "chunked": (start(200, (b"Transfer-Encoding", b"chunked")), body(b"abcd")),
    "that ends the connection": (start(200, length(2), (b"Connection", b"close")), body(b"ab")),
    "too long a body": (start(200, length(1)), body(b"ab")),
    "too short a body": (start(200, length(3)), body(b"ab")),
    "two lengths": (start(200, length(2), length(2)), body(b"ab")),
    "a header of two lines": (start(200, (b"x-a", b"1\r\nx-b: 2"), length(2)), body(b"ab")),
    "nothing": (),
    "a body alone": (body(b"ab"),),
    "more after the end": (*whole(b"ab"), body(b"cd")),
}

REQUESTS = {
    "GET": b"GET / HTTP/1.1\r\n\r\n",
    "HEAD": b"HEAD / HTTP/1.1\r\n\r\n",
    "POST": b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab",
    "close": b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    "1.0": b"GET / HTTP/1.0\r\n\r\n",
    "continue": b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("messages", RESPONSES.values(), ids=RESPONSES)
async def test_a_response_is_written_as_uvicorn_writes_it(
    messages: tuple[Message, ...], request_: bytes
) -> None:
    application = Responses(*messages)
    ours = await written(BoundedHttpProtocol, application, request_)
    theirs = await written(HttpToolsProtocol, application, request_)
    assert ours == theirs
