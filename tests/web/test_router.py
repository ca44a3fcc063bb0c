"""Which URL leads where, on a listener of everybody's and on a private one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import Message, Receive, Scope, Send

from app.web.router import WebhookRouter


async def webhook(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("webhook")(scope, receive, send)


async def page(_: Request) -> Response:
    return PlainTextResponse("page")


@contextlib.asynccontextmanager
async def lifespan(_: Router) -> AsyncIterator[None]:
    yield


async def status(router: WebhookRouter, path: str, listener: tuple[str, int] | None) -> int:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:9000")]
    scope = {"type": "http", "method": "GET", "path": path, "server": listener, "headers": headers}
    await router({**scope, "query_string": b"", "root_path": ""}, receive, send)
    return int(sent[0]["status"])


@pytest.mark.parametrize(
    ("private_port", "listener", "page_status"),
    [
        (None, ("127.0.0.1", 8000), 200),
        (None, None, 200),
        (9000, ("127.0.0.1", 9000), 200),
        (9000, ("127.0.0.1", 8000), 404),
        (9000, None, 404),
    ],
)
async def test_a_private_port_is_told_by_the_listener_alone(
    private_port: int | None, listener: tuple[str, int] | None, page_status: int
) -> None:
    router = WebhookRouter({"/sms": webhook}, [Route("/page", page)], lifespan, private_port)
    assert await status(router, "/page", listener) == page_status
    assert await status(router, "/sms", listener) == 200
    assert await status(router, "/nothing", listener) == 404
