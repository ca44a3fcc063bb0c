"""Which URL leads where, on the public port and on a private one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import Message, Receive, Scope, Send

from sms_router.web.rejections import RejectionLog, UnroutedWebhookLog
from sms_router.web.routes import WebhookRouter, with_prefix


async def webhook(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("webhook")(scope, receive, send)


async def page(_: Request) -> Response:
    return PlainTextResponse("page")


@contextlib.asynccontextmanager
async def lifespan(_: Router) -> AsyncIterator[None]:
    yield


async def status(
    router: WebhookRouter, path: str, listener: tuple[str, int] | None, *more: tuple[bytes, bytes]
) -> int:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:9000"), *more]
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
async def test_other_routes_are_served_by_the_private_listener_only(
    private_port: int | None, listener: tuple[str, int] | None, page_status: int
) -> None:
    unrouted = UnroutedWebhookLog(["/sms"], RejectionLog(time.monotonic))
    router = WebhookRouter({"/sms": webhook}, [Route("/page", page)], lifespan, unrouted, private_port)
    assert await status(router, "/page", listener) == page_status
    assert await status(router, "/sms", listener) == 200
    assert await status(router, "/nothing", listener) == 404


SIGNED = (b"x-twilio-signature", b"x" * 28)


@pytest.mark.parametrize(
    ("path", "port", "expected"),
    [("/console", None, 303), ("/console", 9000, 303), ("/console", 8000, 200), ("/page", None, 200)],
)
async def test_the_address_leads_browsers_to_the_console_and_signed_requests_nowhere(
    path: str, port: int | None, expected: int
) -> None:
    unrouted = UnroutedWebhookLog(["/sms"], RejectionLog(time.monotonic))
    router = WebhookRouter({"/sms": webhook}, [Route(path, page)], lifespan, unrouted, port)
    assert await status(router, "/", ("127.0.0.1", 9000)) == expected
    assert await status(router, "/", ("127.0.0.1", 9000), SIGNED) == 404


async def test_signed_requests_without_a_route_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rejections = RejectionLog(time.monotonic)
    unrouted = UnroutedWebhookLog(["/sms", "/sms/status"], rejections)
    router = WebhookRouter(
        {"/sms": webhook, "/sms/status": webhook}, [Route("/page", page)], lifespan, unrouted
    )
    before = refused_as_not_found()
    for path in ("/nothing", "/page", "/sms"):
        assert await status(router, path, None) == (404 if path == "/nothing" else 200)
    assert not caplog.messages
    for path in ("/twilio/sms\n\x1b[2J", "/sms/"):
        assert await status(router, path, None, SIGNED) == 404
    reported, latest = caplog.messages
    assert (
        r"/twilio/sms\n\x1b[2J, which does not exist here (404): the webhooks are /sms, /sms/status;"
        in reported
    )
    assert refused_as_not_found() == before + 2
    [notice] = rejections.notices()
    assert notice.startswith("2 webhooks were refused by this worker")
    assert notice.endswith(latest)


def refused_as_not_found() -> float:
    return REGISTRY.get_sample_value("sms_router_refused_total", {"reason": "not found"}) or 0.0


@pytest.mark.parametrize(
    ("prefix", "path", "raw", "seen"),
    [
        ("/keep", "/keep/sms", b"/keep/sms", b"/sms"),
        ("/a%20b", "/a b/sms", b"/a%20b/sms", b"/sms"),
        ("/keep", "/keep/sms", b"/%6beep/sms", b"/%6beep/sms"),
        ("/sms", "/sms/sms", b"/sms/sms", b"/sms"),
    ],
)
async def test_a_prefix_that_the_proxy_passes_on_is_removed(
    prefix: str, path: str, raw: bytes, seen: bytes
) -> None:
    requested: list[bytes] = []

    async def webhook(scope: Scope, receive: Receive, send: Send) -> None:
        requested.append(scope["raw_path"])

    found = with_prefix(prefix, {"/sms": webhook})

    async def receive() -> Message:
        return {}

    async def send(_: Message) -> None: ...

    await found[path]({"type": "http", "path": path, "raw_path": raw}, receive, send)
    assert requested == [seen]
