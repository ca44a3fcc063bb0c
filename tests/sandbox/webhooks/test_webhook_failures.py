"""Failed webhooks and their fallback (facts 1.4, 1.5, 3)."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.responses import RedirectResponse, Response
from twilio.request_validator import RequestValidator

from sms_router.sandbox.hosting import free_port
from sms_router.sandbox.webhooks.connection_policy import ConnectionPolicy
from tests.sandbox.sandbox_fixture import PHONE, SERVICE, SandboxFixture, run_sandbox

XML = "application/xml"


@pytest.fixture
async def impatient() -> AsyncIterator[SandboxFixture]:
    """A sandbox that waits for 0.2 seconds instead of 15."""
    async with run_sandbox(policy=ConnectionPolicy(connect=0.2, total=0.2)) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (Response("no", 404, media_type="text/plain"), 11200),
        (Response("<Response/>", 500, media_type=XML), 11200),
        (Response("<Response/>", headers={}), 11200),
        (Response(b"", media_type=XML), 11770),
        (Response(status_code=204), 11770),
        (Response("{}", media_type="application/json"), 12300),
        (Response("<Response>", media_type=XML), 12100),
        (Response("<Reply/>", media_type="text/xml"), 12102),
        (Response(b"<Response/>" + b" " * 65536, media_type=XML), 11750),
    ],
)
async def test_an_invalid_page_calls_the_fallback_with_its_code(
    sandbox: SandboxFixture, page: Response, code: int
) -> None:
    sandbox.customer.pages["/sms"] = page
    sandbox.customer.set_twiml("/sms/fallback", "<Message>Sorry</Message>")
    result = await sandbox.text("Hello")
    assert result["webhook"]["outcome"] == "answered by the fallback"
    first, fallback = sandbox.customer.requests
    assert fallback.path == "/sms/fallback"
    extra = {"ErrorCode": str(code), "ErrorUrl": f"{sandbox.customer.url}/sms"}
    assert fallback.form == {**first.form, **extra}
    assert [message["body"] for message in result["messages"]] == ["Sorry"]
    assert await sandbox.alert_codes() == [code]


async def test_the_fallback_is_a_request_of_its_own_with_its_own_signature(sandbox: SandboxFixture) -> None:
    sandbox.customer.pages["/sms"] = Response(status_code=500)
    await sandbox.text("Hello")
    first, fallback = sandbox.customer.requests
    validator = RequestValidator(sandbox.world.auth_token)
    assert validator.validate(fallback.url, dict(fallback.form), fallback.headers["x-twilio-signature"])
    assert first.headers["i-twilio-idempotency-token"] != fallback.headers["i-twilio-idempotency-token"]


async def test_when_the_fallback_fails_too_nothing_is_sent(sandbox: SandboxFixture) -> None:
    sandbox.customer.pages["/sms"] = Response(status_code=500)
    sandbox.customer.pages["/sms/fallback"] = Response("<Response>", media_type=XML)
    result = await sandbox.text("Hello")
    assert (result["webhook"]["outcome"], result["messages"]) == ("failed", [])
    assert await sandbox.alert_codes() == [11200, 12100]
    assert [request["error_code"] for request in result["webhook"]["requests"]] == [11200, 12100]


async def test_without_a_fallback_a_failure_is_only_logged(sandbox: SandboxFixture) -> None:
    await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).update(fallback_url=""))
    sandbox.customer.pages["/sms"] = Response(status_code=500)
    result = await sandbox.text("Hello")
    assert result["webhook"]["outcome"] == "failed"
    assert len(sandbox.customer.requests) == 1


async def test_a_timeout_is_not_retried_but_calls_the_fallback(impatient: SandboxFixture) -> None:
    released = asyncio.Event()

    async def never() -> Response:
        await released.wait()
        return Response(status_code=500)

    impatient.customer.pages["/sms"] = never
    result = await impatient.text("Hello")
    released.set()
    assert result["webhook"]["outcome"] == "answered by the fallback"
    assert [request.path for request in impatient.customer.requests] == ["/sms", "/sms/fallback"]
    assert await impatient.alert_codes() == [11200]


async def test_a_refused_connection_is_11205(sandbox: SandboxFixture) -> None:
    url = f"http://127.0.0.1:{free_port()}/sms"
    await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).update(inbound_request_url=url))
    result = await sandbox.text("Hello")
    assert result["webhook"]["outcome"] == "answered by the fallback"
    assert sandbox.customer.requests[0].form["ErrorCode"] == "11205"
    assert sandbox.customer.requests[0].form["ErrorUrl"] == url
    assert result["webhook"]["requests"][0]["reason"].endswith("Connection refused")


async def _broken_server(answers: list[bytes]) -> tuple[asyncio.Server, list[bytes]]:
    """Serve raw bytes, one response to a connection, and record the requests."""
    requests: list[bytes] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answers[len(requests) - 1])
        writer.close()

    return await asyncio.start_server(connected, "127.0.0.1", 0), requests


async def test_only_a_failed_connection_is_retried_once(sandbox: SandboxFixture) -> None:
    """A TLS handshake that fails is a failed connection (facts 1.4), and one that can be counted."""
    handshakes = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handshakes.append(await reader.read(5))
        writer.write(b"this is not TLS")
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/sms"
        await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).update(inbound_request_url=url))
        result = await sandbox.text("Hello")
    assert len(handshakes) == 2
    assert [request["error_code"] for request in result["webhook"]["requests"]] == [11220, None]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "11200"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 90\r\n\r\n<Resp", "11200"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "11206"),
    ],
)
async def test_an_incomplete_response_is_not_retried(
    sandbox: SandboxFixture, answer: bytes, code: str
) -> None:
    server, requests = await _broken_server([answer, answer])
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/sms"
        await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).update(inbound_request_url=url))
        await sandbox.text("Hello")
    assert len(requests) == 1
    assert sandbox.customer.requests[0].form["ErrorCode"] == code


@pytest.mark.parametrize(
    ("status", "method", "keeps_the_form"),
    [(301, "GET", False), (302, "GET", False), (307, "POST", True), (308, "POST", True)],
)
async def test_redirects_are_followed_as_twilio_does(
    sandbox: SandboxFixture, status: int, method: str, keeps_the_form: bool
) -> None:
    sandbox.customer.pages["/sms"] = RedirectResponse("/moved", status)
    sandbox.customer.set_twiml("/moved", "<Message>Here</Message>")
    result = await sandbox.text("Hello")
    assert [message["body"] for message in result["messages"]] == ["Here"]
    moved = sandbox.customer.requests[1]
    assert (moved.method, "Body" in moved.form) == (method, keeps_the_form)


async def test_too_many_redirects_are_11215(sandbox: SandboxFixture) -> None:
    sandbox.customer.pages["/sms"] = RedirectResponse("/sms", 307)
    await sandbox.text("Hello")
    assert len(sandbox.customer.requests_to("/sms")) == 11
    assert await sandbox.alert_codes() == [11215]


@pytest.mark.parametrize("url", ["http://[x/", "http://a[::1]/", "http://[::1", "http://a:port/"])
@pytest.mark.parametrize(
    "page",
    ["<Redirect>{url}</Redirect>", '<Message action="{url}">Hi</Message>', "Location"],
    ids=["redirect", "action", "location"],
)
async def test_a_reference_that_is_no_url_is_11100(sandbox: SandboxFixture, page: str, url: str) -> None:
    if page == "Location":
        sandbox.customer.pages["/sms"] = Response(status_code=302, headers={"Location": url})
    else:
        sandbox.customer.set_twiml("/sms", page.format(url=url))
    sandbox.customer.set_twiml("/sms/fallback", "<Message>Sorry</Message>")
    result = await sandbox.text("Hello")
    assert result["webhook"]["outcome"] == "answered by the fallback"
    assert await sandbox.alert_codes() == [11100]


async def test_a_webhook_that_is_no_url_is_11100(sandbox: SandboxFixture) -> None:
    await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).update(inbound_request_url="http://[x/"))
    sandbox.customer.set_twiml("/sms/fallback", "<Message>Sorry</Message>")
    result = await sandbox.text("Hello")
    assert [message["body"] for message in result["messages"]] == ["Sorry"]
    assert await sandbox.alert_codes() == [11100]


async def test_plain_text_is_sent_as_a_message(sandbox: SandboxFixture) -> None:
    sandbox.customer.pages["/sms"] = Response("ok", media_type="text/plain")
    result = await sandbox.text("Hello")
    assert [message["body"] for message in result["messages"]] == ["ok"]
    assert (await sandbox.phone(PHONE))["messages"][0]["from"] == "12345"


async def test_html_is_read_as_twiml(sandbox: SandboxFixture) -> None:
    sandbox.customer.pages["/sms"] = Response(
        "<Response><Message>x</Message></Response>", media_type="text/html"
    )
    assert (await sandbox.text("Hello"))["messages"][0]["body"] == "x"
