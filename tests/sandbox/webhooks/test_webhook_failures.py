"""What counts as a failed webhook, and what Twilio does then (facts 1.4, 1.5, 3)."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.responses import RedirectResponse, Response
from twilio.request_validator import RequestValidator

from sms_router.sandbox.hosting import free_port
from sms_router.sandbox.webhooks.connection_policy import ConnectionPolicy
from tests.sandbox.bench import PHONE, SERVICE, Bench, running

XML = "application/xml"


@pytest.fixture
async def hasty() -> AsyncIterator[Bench]:
    """A Twilio that waits a fifth of a second instead of fifteen."""
    async with running(policy=ConnectionPolicy(connect=0.2, total=0.2)) as bench:
        yield bench


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
async def test_a_bad_page_goes_to_the_fallback_with_its_code(bench: Bench, page: Response, code: int) -> None:
    bench.customer.pages["/sms"] = page
    bench.customer.says("/sms/fallback", "<Message>Sorry</Message>")
    told = await bench.text("Hello")
    assert told["webhook"]["outcome"] == "answered by the fallback"
    first, fallback = bench.customer.asked
    assert fallback.path == "/sms/fallback"
    extra = {"ErrorCode": str(code), "ErrorUrl": f"{bench.customer.url}/sms"}
    assert fallback.form == {**first.form, **extra}
    assert [message["body"] for message in told["messages"]] == ["Sorry"]
    assert await bench.alert_codes() == [code]


async def test_the_fallback_is_signed_for_itself_and_is_another_request(bench: Bench) -> None:
    bench.customer.pages["/sms"] = Response(status_code=500)
    await bench.text("Hello")
    first, fallback = bench.customer.asked
    validator = RequestValidator(bench.world.auth_token)
    assert validator.validate(fallback.url, dict(fallback.form), fallback.headers["x-twilio-signature"])
    assert first.headers["i-twilio-idempotency-token"] != fallback.headers["i-twilio-idempotency-token"]


async def test_when_the_fallback_fails_too_nothing_is_sent(bench: Bench) -> None:
    bench.customer.pages["/sms"] = Response(status_code=500)
    bench.customer.pages["/sms/fallback"] = Response("<Response>", media_type=XML)
    told = await bench.text("Hello")
    assert (told["webhook"]["outcome"], told["messages"]) == ("failed", [])
    assert await bench.alert_codes() == [11200, 12100]
    assert [request["error_code"] for request in told["webhook"]["requests"]] == [11200, 12100]


async def test_without_a_fallback_a_failure_is_only_logged(bench: Bench) -> None:
    await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).update(fallback_url=""))
    bench.customer.pages["/sms"] = Response(status_code=500)
    told = await bench.text("Hello")
    assert told["webhook"]["outcome"] == "failed"
    assert len(bench.customer.asked) == 1


async def test_a_slow_page_is_not_asked_again_but_falls_back(hasty: Bench) -> None:
    gone = asyncio.Event()

    async def never() -> Response:
        await gone.wait()
        return Response(status_code=500)

    hasty.customer.pages["/sms"] = never
    told = await hasty.text("Hello")
    gone.set()
    assert told["webhook"]["outcome"] == "answered by the fallback"
    assert [asked.path for asked in hasty.customer.asked] == ["/sms", "/sms/fallback"]
    assert await hasty.alert_codes() == [11200]


async def test_nobody_listening_is_11205(bench: Bench) -> None:
    url = f"http://127.0.0.1:{free_port()}/sms"
    await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).update(inbound_request_url=url))
    told = await bench.text("Hello")
    assert told["webhook"]["outcome"] == "answered by the fallback"
    assert bench.customer.asked[0].form["ErrorCode"] == "11205"
    assert bench.customer.asked[0].form["ErrorUrl"] == url
    assert told["webhook"]["requests"][0]["reason"].endswith("Connection refused")


async def _broken_server(answers: list[bytes]) -> tuple[asyncio.Server, list[bytes]]:
    """Serve raw bytes, one answer to a connection, and keep the requests."""
    requests: list[bytes] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answers[len(requests) - 1])
        writer.close()

    return await asyncio.start_server(connected, "127.0.0.1", 0), requests


async def test_only_a_failed_connection_is_tried_once_more(bench: Bench) -> None:
    """A TLS handshake that fails is a failed connection (facts 1.4), and one that can be counted."""
    handshakes = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handshakes.append(await reader.read(5))
        writer.write(b"this is not TLS")
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/sms"
        await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).update(inbound_request_url=url))
        told = await bench.text("Hello")
    assert len(handshakes) == 2
    assert [request["error_code"] for request in told["webhook"]["requests"]] == [11220, None]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "11200"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 90\r\n\r\n<Resp", "11200"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "11206"),
    ],
)
async def test_an_answer_that_breaks_off_is_never_asked_for_again(
    bench: Bench, answer: bytes, code: str
) -> None:
    server, requests = await _broken_server([answer, answer])
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/sms"
        await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).update(inbound_request_url=url))
        await bench.text("Hello")
    assert len(requests) == 1
    assert bench.customer.asked[0].form["ErrorCode"] == code


@pytest.mark.parametrize(
    ("status", "method", "keeps_the_form"),
    [(301, "GET", False), (302, "GET", False), (307, "POST", True), (308, "POST", True)],
)
async def test_redirects_are_followed_as_twilio_does(
    bench: Bench, status: int, method: str, keeps_the_form: bool
) -> None:
    bench.customer.pages["/sms"] = RedirectResponse("/moved", status)
    bench.customer.says("/moved", "<Message>Here</Message>")
    told = await bench.text("Hello")
    assert [message["body"] for message in told["messages"]] == ["Here"]
    moved = bench.customer.asked[1]
    assert (moved.method, "Body" in moved.form) == (method, keeps_the_form)


async def test_too_many_redirects_are_11215(bench: Bench) -> None:
    bench.customer.pages["/sms"] = RedirectResponse("/sms", 307)
    await bench.text("Hello")
    assert len(bench.customer.asked_at("/sms")) == 11
    assert await bench.alert_codes() == [11215]


@pytest.mark.parametrize("url", ["http://[x/", "http://a[::1]/", "http://[::1", "http://a:port/"])
@pytest.mark.parametrize(
    "page",
    ["<Redirect>{url}</Redirect>", '<Message action="{url}">Hi</Message>', "Location"],
    ids=["redirect", "action", "location"],
)
async def test_what_leads_to_no_url_is_11100(bench: Bench, page: str, url: str) -> None:
    if page == "Location":
        bench.customer.pages["/sms"] = Response(status_code=302, headers={"Location": url})
    else:
        bench.customer.says("/sms", page.format(url=url))
    bench.customer.says("/sms/fallback", "<Message>Sorry</Message>")
    told = await bench.text("Hello")
    assert told["webhook"]["outcome"] == "answered by the fallback"
    assert await bench.alert_codes() == [11100]


async def test_a_webhook_that_is_no_url_is_11100(bench: Bench) -> None:
    await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).update(inbound_request_url="http://[x/"))
    bench.customer.says("/sms/fallback", "<Message>Sorry</Message>")
    told = await bench.text("Hello")
    assert [message["body"] for message in told["messages"]] == ["Sorry"]
    assert await bench.alert_codes() == [11100]


async def test_a_plain_text_is_sent_to_the_person(bench: Bench) -> None:
    bench.customer.pages["/sms"] = Response("ok", media_type="text/plain")
    told = await bench.text("Hello")
    assert [message["body"] for message in told["messages"]] == ["ok"]
    assert (await bench.phone(PHONE))["messages"][0]["from"] == "12345"


async def test_html_is_read_as_twiml(bench: Bench) -> None:
    bench.customer.pages["/sms"] = Response(
        "<Response><Message>x</Message></Response>", media_type="text/html"
    )
    assert (await bench.text("Hello"))["messages"][0]["body"] == "x"
