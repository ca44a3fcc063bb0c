"""Forwarding to upstreams that respond, fail, hang or send invalid responses."""

from __future__ import annotations

import asyncio
import gzip
import re
from urllib.parse import parse_qsl, urlsplit

import pytest
from twilio.request_validator import RequestValidator

from sms_router.routing.handler.reply import Part, RedirectedPart, Reply, ReplyFailed
from sms_router.routing.upstream.endpoint import EndpointStatus
from sms_router.routing.upstream.recipients import address_parts
from sms_router.sandbox.hosting import free_port
from sms_router.twilio.inbound import InboundMessage
from tests.routing.messages import CONTACT, message
from tests.routing.upstream.conftest import PARAMETERS, TEXT, TOKEN, ForwarderFixture, forward
from tests.routing.upstream.raw_server import (
    Behaviour,
    RawServer,
    drip,
    hang,
    messages,
    raw_bytes,
    response,
)
from tests.routing.workers import STOP

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">]><Response><Message>&a;</Message></Response>'
)
BASIC = {"WWW_Authenticate": 'Basic realm="here"'}


async def test_every_request_is_valid_for_twilios_validator(
    server: RawServer, forwarding: ForwarderFixture
) -> None:
    server.pages |= {
        "/sms": response('<Response><Redirect method="GET">b?c=d</Redirect></Response>'),
        "/b": messages("ok"),
    }
    assert await forwarding.texts(forward(f"http://user:pass@127.0.0.1:{server.port}/sms?a=b#rc=2")) == ["ok"]
    post, get = server.requests
    validator = RequestValidator(TOKEN)
    assert (post.method, post.target, post.form) == ("POST", "/sms?a=b", PARAMETERS)
    assert validator.validate(f"{server.url}{post.target}", post.form, post.headers["X-Twilio-Signature"])
    assert (get.method, get.body) == ("GET", b"")
    assert dict(parse_qsl(urlsplit(get.target).query, keep_blank_values=True)) == {"c": "d", **PARAMETERS}
    assert validator.validate(f"{server.url}{get.target}", {}, get.headers["X-Twilio-Signature"])
    assert post.headers["User-Agent"] == "TwilioProxy/1.1"
    assert "Authorization" not in post.headers


async def test_twilios_token_is_passed_on_and_the_token_of_each_further_request_is_stable(
    server: RawServer, forwarding: ForwarderFixture
) -> None:
    server.pages |= {"/sms": response(status="500 Oh"), "/b": messages("ok")}
    headers = (
        (b"i-twilio-idempotency-token", b"twilios-own"),
        (b"x-home-region", b"ie1"),
        (b"x-other", b"x"),
    )
    to = forward(f"{server.url}/sms", f"{server.url}/b")
    for _ in range(2):
        await forwarding.forward(to, headers=headers)
    tokens = [request.headers["I-Twilio-Idempotency-Token"] for request in server.requests]
    assert tokens[0] == tokens[2] == "twilios-own"
    assert tokens[1] == tokens[3] != "twilios-own"
    assert {request.headers["X-Home-Region"] for request in server.requests} == {"ie1"}
    assert all("x-other" not in request.headers for request in server.requests)


async def test_concurrent_forwards_open_one_http_session(
    server: RawServer, forwarding: ForwarderFixture
) -> None:
    server.pages["/sms"] = messages("ok")
    texts = [forwarding.texts(forward(f"{server.url}/sms")) for _ in range(4)]
    assert await asyncio.gather(*texts) == [["ok"]] * 4
    assert await forwarding.forwarder.start() is await forwarding.forwarder.start()


@pytest.mark.parametrize(
    ("behaviour", "code", "reason"),
    [
        (response("Oh", "500 Oh", "text/html"), 11200, "HTTP 500"),
        (response("No", "404 Not Found", "text/html"), 11200, "HTTP 404"),
        (response("", "304 Not Modified"), 11200, "HTTP 304"),
        (response("", "302 Found"), 11200, "HTTP 302"),
        (response("Who?", "401 Unauthorized", **BASIC), 11200, "HTTP 401"),
        (hang, 11200, "no response within"),
        (drip, 11200, "no response within"),
        (raw_bytes(b"\x00\x01 garbage \xff\r\n\r\n"), 11206, "the response is not HTTP"),
        (raw_bytes(b"", then_close=True), 11206, "the connection was closed"),
        (
            raw_bytes(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 99\r\n\r\n<R", then_close=True
            ),
            11200,
            "the response is incomplete",
        ),
        (
            raw_bytes(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"),
            11206,
            "the response is not HTTP",
        ),
        (response("<Response>" + " " * 70_000 + "</Response>"), 11750, "the response is larger than 64 kB"),
        (
            response(gzip.compress(b" " * 20_000_000), Content_Encoding="gzip"),
            11750,
            "the response is larger than 64 kB",
        ),
        (response(BOMB), 12100, "the document declares entities"),
        (response("<Response>"), 12100, "not well-formed XML"),
        (response("<html><body>Hi</body></html>", media_type="text/html"), 12102, "the root is <html>"),
        (response('{"a": 1}', media_type="application/json"), 12300, "the Content-Type application/json"),
        (response("<Response/>", media_type=None), 11200, "the response has no Content-Type"),
        (response(status="302 Found", Location="/sms"), 11215, "more than 10 redirects"),
        (response("<Response><Redirect/></Response>"), 14106, "more than 10 documents"),
        (
            response(status="307 There", Location="http://169.254.169.254/"),
            11100,
            "add 169.254.169.254 to redire",
        ),
        (
            response("<Response><Redirect>http://localhost/</Redirect></Response>"),
            11100,
            "add localhost to redir",
        ),
        (
            response("<Response><Redirect>file:///etc/passwd</Redirect></Response>"),
            11100,
            "must begin with https",
        ),
    ],
)
async def test_a_failure_leads_to_the_fallback_with_twilios_code(
    server: RawServer,
    other_server: RawServer,
    forwarding: ForwarderFixture,
    behaviour: Behaviour,
    code: int,
    reason: str,
) -> None:
    server.pages["/sms"], other_server.pages["/b"] = behaviour, messages("the fallback")
    to = forward(f"{server.url}/sms", f"{other_server.url}/b", timeout=1.0)
    reply = await forwarding.forward(to)
    assert isinstance(reply, Reply)
    assert reply.texts == ("the fallback",)
    assert reply.notes[0].startswith(f"forwarded to 127.0.0.1:{server.port}/sms: {code} ")
    assert reason in reply.notes[0]
    assert other_server.requests[0].form == {
        **PARAMETERS,
        "ErrorCode": str(code),
        "ErrorUrl": f"{server.url}/sms",
    }


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:{closed}/sms", 11205),
        ("http://no-such-host.invalid/sms", 11210),
        ("https://127.0.0.1:{plain}/sms", 11220),
        ("http://127.0.0.1:{plain}/sms", 11206),
    ],
)
async def test_a_failed_connection_leads_to_the_fallback_with_twilios_code(
    server: RawServer, other_server: RawServer, forwarding: ForwarderFixture, url: str, code: int
) -> None:
    server.greeting, server.pages["/sms"] = b"220 mail.example.com ready\r\n", hang
    other_server.pages["/b"] = messages("the fallback")
    url = url.format(closed=free_port(), plain=server.port)
    assert await forwarding.texts(forward(url, f"{other_server.url}/b", timeout=2.0)) == ["the fallback"]
    assert other_server.requests[0].form["ErrorCode"] == str(code)


async def test_the_fallback_gets_its_share_of_the_time(
    server: RawServer, forwarding: ForwarderFixture
) -> None:
    server.pages |= {"/sms": hang, "/b": messages("the fallback")}
    to = forward(f"{server.url}/sms", f"{server.url}/b")
    assert await forwarding.texts(to, seconds=3.0) == ["the fallback"]
    assert isinstance(await forwarding.forward(to, seconds=-1.0), ReplyFailed)


async def test_a_call_that_hangs_ends_before_the_deadline(
    server: RawServer, forwarding: ForwarderFixture
) -> None:
    server.pages["/sms"] = hang
    result = await forwarding.forward(forward(f"{server.url}/sms", f"{server.url}/sms"), seconds=2.0)
    assert isinstance(result, ReplyFailed)
    first, second = re.findall(r"no response within (\S+) s", result.cause)
    assert float(first) + float(second) < 1.9


async def test_without_a_fallback_the_reply_fails_with_the_cause(
    server: RawServer, forwarding: ForwarderFixture
) -> None:
    server.pages["/sms"] = response(status="503 Busy")
    result = await forwarding.forward(forward(f"http://user:pass@127.0.0.1:{server.port}/sms?key=secret"))
    assert result == ReplyFailed(f"forwarded to 127.0.0.1:{server.port}/sms: 11200 HTTP 503")


async def test_an_empty_page_is_an_empty_reply_unless_there_is_a_fallback(
    server: RawServer, forwarding: ForwarderFixture
) -> None:
    server.pages |= {
        "/sms": response("", media_type=None),
        "/204": response("", "204 No Content"),
        "/b": messages("b"),
    }
    assert await forwarding.texts(forward(f"{server.url}/sms")) == []
    assert await forwarding.texts(forward(f"{server.url}/204", f"{server.url}/b")) == []
    assert await forwarding.texts(forward(f"{server.url}/sms", f"{server.url}/b")) == ["b"]
    assert server.requests[-1].form["ErrorCode"] == "11770"
    assert await forwarding.texts(forward(f"{server.url}/sms", f"{server.url}/sms")) == []


async def test_messages_before_a_failed_redirect_are_sent(
    server: RawServer, forwarding: ForwarderFixture
) -> None:
    server.pages |= {
        "/sms": response("<Response><Message>one</Message><Redirect>/gone</Redirect></Response>"),
        "/gone": response(status="410 Gone"),
        "/b": messages("two"),
    }
    assert await forwarding.texts(forward(f"{server.url}/sms", f"{server.url}/b")) == ["one", "two"]
    assert server.requests[-1].form["ErrorUrl"] == f"{server.url}/gone"


async def test_no_more_than_ten_messages_are_sent(server: RawServer, forwarding: ForwarderFixture) -> None:
    server.pages |= {
        "/sms": response(f"<Response>{'<Message>a</Message>' * 6}<Redirect>/b</Redirect></Response>"),
        "/b": messages(*"bcdefghij"),
    }
    assert await forwarding.texts(forward(f"{server.url}/sms")) == ["a"] * 6 + list("bcde")


async def test_redirects_keep_or_drop_the_parameters_as_with_twilio(
    server: RawServer, forwarding: ForwarderFixture
) -> None:
    server.pages |= {
        "/sms": response(status="307 There", Location="b"),
        "/b": response(status="301 There", Location=f"{server.url}/c"),
        "/c": messages("ok"),
    }
    assert await forwarding.texts(forward(f"{server.url}/sms")) == ["ok"]
    assert [(request.method, bool(request.body)) for request in server.requests] == [
        ("POST", 1),
        ("POST", 1),
        ("GET", 0),
    ]


async def test_a_get_is_redirected_to_the_location_alone(
    server: RawServer, forwarding: ForwarderFixture
) -> None:
    server.pages |= {"/sms": response(status="308 There", Location="/sms/?Body=x"), "/sms/": messages("ok")}
    assert await forwarding.texts(forward(f"{server.url}/sms", method="GET")) == ["ok"]
    assert server.requests[1].target == "/sms/?Body=x"
    signature = server.requests[1].headers["X-Twilio-Signature"]
    assert RequestValidator(TOKEN).validate(f"{server.url}/sms/?Body=x", {}, signature)


@pytest.mark.parametrize("allowed", ["LOCALHOST:{port}", "[::1]", "127.0.0.1"])
async def test_a_redirect_to_another_host_is_followed_only_if_it_is_allowed(
    server: RawServer, other_server: RawServer, forwarding: ForwarderFixture, allowed: str
) -> None:
    server.pages["/sms"] = response(
        f"<Response><Redirect>http://localhost:{other_server.port}/x</Redirect></Response>"
    )
    other_server.pages["/x"] = messages("elsewhere")
    to = forward(f"{server.url}/sms", hosts=(allowed.format(port=other_server.port),))
    reply = await forwarding.forward(to)
    if "port" in allowed:
        assert isinstance(reply, Reply)
        assert reply.texts == ("elsewhere",)
    else:
        assert isinstance(reply, ReplyFailed)
        assert other_server.requests == []


async def test_credentials_are_sent_on_request_and_to_their_origin_only(
    server: RawServer, other_server: RawServer, forwarding: ForwarderFixture
) -> None:
    async def guarded(writer: asyncio.StreamWriter) -> None:
        known = server.requests[-1].headers.get("Authorization") == "Basic dXNlcjpwQHNz"
        page = f"<Response><Redirect>{other_server.url}/sms</Redirect></Response>"
        await (response(page) if known else response(status="401 Who?", **BASIC))(writer)

    server.pages["/sms"], other_server.pages["/sms"] = guarded, response(status="401 Who?", **BASIC)
    to = forward(f"http://user:p%40ss@127.0.0.1:{server.port}/sms", hosts=(f"127.0.0.1:{other_server.port}",))
    assert isinstance(await forwarding.forward(to), ReplyFailed)
    assert ["Authorization" in request.headers for request in server.requests] == [False, True]
    assert ["Authorization" in request.headers for request in other_server.requests] == [False]


async def test_each_message_keeps_its_sender_media_and_recipient(
    server: RawServer, forwarding: ForwarderFixture
) -> None:
    server.pages["/a/sms"] = response(
        "<Response>"
        f'<Message from="+12125550100" to="{CONTACT}">  one '
        "<Media>/m.png</Media><Media>ftp://m.example/m.png</Media><Media>n.png</Media></Message>"
        '<Message to="+13105550123">two</Message>'
        '<Message to="+13105550999">three</Message>'
        '<Message to="nobody">four</Message>'
        '<Message to="+12125550100">five</Message>'
        "</Response>"
    )
    await forwarding.contacts.change_consent("12345", "+13105550999", STOP)
    reply = await forwarding.forward(forward(f"{server.url}/a/sms"))
    assert isinstance(reply, Reply)
    assert list(reply.parts) == [
        Part("one", [f"{server.url}/m.png", f"{server.url}/a/n.png"], "+12125550100"),
        RedirectedPart("two", [], None, "+13105550123"),
    ]
    assert reply.notes[1:] == (
        "media that Twilio would refuse is left out: 'ftp://m.example/m.png' is no URL",
        "a message to +1310•••0999 is left out: the recipient has opted out",
        "a message to nobody is left out: not a phone number like +14155550123",
        "a message to +1212•••0100 is left out: the number is one of our senders, which would answer itself",
    )


async def test_the_parts_of_a_handlers_reply_pass_the_same_checks(forwarding: ForwarderFixture) -> None:
    await forwarding.contacts.change_consent("12345", "+13105550999", STOP)
    others = [Part(number, to=number) for number in ("+1 310 555 0123", "+13105550999", "+12125550100")]
    called = RedirectedPart("of an application", to="+13105550124")
    reply = Reply(parts=[Part("one"), Part("you", to=CONTACT), *others, called], notes=["a note"])
    addressed = await address_parts(reply, message(), forwarding.contacts)
    assert addressed.parts == [
        Part("one"), Part("you"), RedirectedPart("+1 310 555 0123", to="+13105550123"), called,
    ]  # fmt: skip
    assert addressed.notes == [
        "a note",
        "a message to +1310•••0999 is left out: the recipient has opted out",
        "a message to +1212•••0100 is left out: the number is one of our senders, which would answer itself",
    ]


async def test_what_is_ignored_in_twiml_is_logged_once(
    server: RawServer, forwarding: ForwarderFixture, caplog: pytest.LogCaptureFixture
) -> None:
    server.pages["/sms"] = response('<Response><Say>x</Say><Message action="/x">y</Message></Response>')
    for _ in range(3):
        assert await forwarding.texts(forward(f"{server.url}/sms")) == ["y"]
    assert [line.partition(": ")[2] for line in caplog.messages] == [
        "<Say> is no messaging verb and is ignored",
        "action of <Message> is ignored: status callbacks go to the router",
    ]


@pytest.mark.parametrize(
    ("inner", "code", "reason"),
    [
        ("<Say>x</Say><Hangup/><Say>y</Say>", "12200", "no verb is one of messaging: <Say>, <Hangup>"),
        ("<message>x</message>", "12200", "no verb is one of messaging: <message>"),
        ("<Message/>", "14103", "no <Message> can be sent: it has neither a text nor media that Twilio"),
        ("<Message><Media>ftp://x/y</Media></Message>", "14103", "no <Message> can be sent: it has neither"),
        (
            '<Sms to="nobody">x</Sms>',
            "14103",
            "no <Message> can be sent: its recipient nobody is not a phone",
        ),
        ("<Say>x</Say><Message/>", "14103", "no <Message> can be sent"),
        ("<Message/><Redirect>/sms2</Redirect>", "14103", "no <Message> can be sent"),
    ],
)
async def test_a_page_whose_verbs_cannot_be_executed_is_a_failure(
    server: RawServer, forwarding: ForwarderFixture, inner: str, code: str, reason: str
) -> None:
    server.pages |= {
        "/sms": response(f"<Response>{inner}</Response>"),
        "/sms2": response("<Response/>"),
        "/b": messages("from the fallback"),
    }
    result = await forwarding.forward(forward(f"{server.url}/sms"))
    assert isinstance(result, ReplyFailed)
    assert f"{code} {reason}" in result.cause
    assert await forwarding.texts(forward(f"{server.url}/sms", f"{server.url}/b")) == ["from the fallback"]
    assert server.requests[-1].form["ErrorCode"] == code


@pytest.mark.parametrize(
    "inner", ["", "<!-- nothing -->", "<Sms>a</Sms><Say/>", "<Message/><Message>a</Message>"]
)
async def test_a_page_without_verbs_or_with_one_that_can_be_executed_is_no_failure(
    server: RawServer, forwarding: ForwarderFixture, inner: str
) -> None:
    server.pages["/sms"] = response(f"<Response>{inner}</Response>")
    assert isinstance(await forwarding.forward(forward(f"{server.url}/sms")), Reply)


async def test_connections_are_reused(server: RawServer, forwarding: ForwarderFixture) -> None:
    server.pages["/sms"] = messages("ok")
    for _ in range(5):
        await forwarding.texts(forward(f"{server.url}/sms"))
    assert (len(server.requests), server.connections) == (5, 1)


async def test_no_more_than_four_calls_to_one_upstream_are_in_progress(
    server: RawServer, forwarding: ForwarderFixture
) -> None:
    most, in_progress, finish = 0, 0, asyncio.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        nonlocal most, in_progress
        in_progress += 1
        most = max(in_progress, most)
        await finish.wait()
        in_progress -= 1
        await messages("ok")(writer)

    server.pages["/sms"] = slow
    texts = [asyncio.create_task(forwarding.texts(forward(f"{server.url}/sms"))) for _ in range(12)]
    while in_progress < 4:
        await asyncio.sleep(0)
    finish.set()
    assert await asyncio.gather(*texts) == [["ok"]] * 12
    assert most == 4


async def test_an_upstream_that_keeps_failing_is_not_called(
    server: RawServer, other_server: RawServer, forwarding: ForwarderFixture, caplog: pytest.LogCaptureFixture
) -> None:
    server.pages["/sms"], other_server.pages["/b"] = response(status="500 Oh"), messages("b")
    to = forward(f"{server.url}/sms", f"{other_server.url}/b")
    for _ in range(8):
        assert await forwarding.texts(to) == ["b"]
    assert len(server.requests) == 5
    assert [request.form["ErrorCode"] for request in other_server.requests] == ["11200"] * 8
    status = _status(forwarding, server.url)
    assert (status.state.value, status.calls, status.failures, status.short_circuited) == ("open", 5, 5, 3)
    assert status.last_failure == f"127.0.0.1:{server.port}/sms: 11200 HTTP 500"
    assert _status(forwarding, f"{other_server.url} (as fallback)").state.value == "closed"
    assert sum("keeps failing" in line for line in caplog.messages) == 1


async def test_a_wrong_page_does_not_open_the_circuit(
    server: RawServer, forwarding: ForwarderFixture
) -> None:
    server.pages["/sms"] = response(status="404 Not Found")
    for _ in range(10):
        assert isinstance(await forwarding.forward(forward(f"{server.url}/sms")), ReplyFailed)
    assert len(server.requests) == 10
    assert _status(forwarding, server.url).state.value == "closed"


async def test_cancelled_calls_do_not_count_against_the_circuit(
    server: RawServer, forwarding: ForwarderFixture
) -> None:
    server.pages["/sms"] = hang
    for _ in range(6):
        call = asyncio.create_task(forwarding.forward(forward(f"{server.url}/sms")))
        before = len(server.requests)
        while len(server.requests) == before:
            await asyncio.sleep(0.001)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert _status(forwarding, server.url).state.value == "closed"


@pytest.mark.parametrize(
    "url", ["https://sms.example.com/sms", "https://user@SMS.example.com:443/sms/fallback?x"]
)
async def test_nothing_is_forwarded_to_the_router_itself(forwarding: ForwarderFixture, url: str) -> None:
    result = await forwarding.forward(forward(url))
    assert isinstance(result, ReplyFailed)
    assert "this is the router's own URL; use the application's" in result.cause


async def test_nothing_is_forwarded_without_an_auth_token(
    server: RawServer, forwarding: ForwarderFixture
) -> None:
    stranger = InboundMessage(TEXT.sid, "AC" + "f" * 32, None, CONTACT, "12345", "", {})
    result = await forwarding.forward(forward(f"{server.url}/sms"), stranger)
    assert result == ReplyFailed(f"no auth token for {stranger.account_sid}: add it to [[accounts]]")


async def test_cookies_are_sent_to_the_same_host_for_the_same_pair_of_numbers(
    server: RawServer, other_server: RawServer, forwarding: ForwarderFixture
) -> None:
    server.pages["/sms"] = response("<Response/>", Set_Cookie='session="a b"; Path=/; HttpOnly')
    other_server.pages["/sms"] = messages("there")
    to = forward(f"{server.url}/sms", hosts=(f"localhost:{other_server.port}",))
    for text in (TEXT, TEXT, message(recipient="54321"), message(sender="+13105550123")):
        await forwarding.forward(to, text)
    await forwarding.forward(forward(f"http://localhost:{other_server.port}/sms"))
    sent = [request.headers.get("Cookie") for request in (*server.requests, *other_server.requests)]
    assert sent == [None, 'session="a b"', None, None, None]


@pytest.mark.parametrize(
    "cookie", ['a="\\001"; Path=/', "a=\x01; Path=/", "a=1; Path=/\t", 'a=1; Max-Age="\\001"; Path=/']
)
async def test_a_cookie_with_control_characters_does_not_fail_the_forward(
    server: RawServer, forwarding: ForwarderFixture, cookie: str
) -> None:
    answer = "<Response><Message>ok</Message></Response>"
    server.pages["/sms"] = response(answer, Set_Cookie=cookie)
    for _ in range(2):
        assert await forwarding.texts(forward(f"{server.url}/sms")) == ["ok"]
    assert server.requests[1].headers.get("Cookie") in (None, "a=1")


def _status(forwarding: ForwarderFixture, name: str) -> EndpointStatus:
    return next(status for status in forwarding.forwarder.statuses() if status.name == name)
