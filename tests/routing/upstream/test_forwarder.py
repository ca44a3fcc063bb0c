"""Upstreams that answer, fail, lie, stall and flood: what comes back, and when."""

from __future__ import annotations

import asyncio
import gzip
import re
from urllib.parse import parse_qsl, urlsplit

import pytest
from twilio.request_validator import RequestValidator

from sms_router.routing.handler.reply import Part, RedirectedPart, Reply, ReplyFailed
from sms_router.routing.upstream.endpoint import EndpointStatus
from sms_router.sandbox.hosting import free_port
from sms_router.twilio.inbound import InboundMessage
from tests.routing.messages import PERSON, message
from tests.routing.upstream.conftest import SENT, TEXT, TOKEN, Asking, forward
from tests.routing.upstream.site import Behaviour, Site, answers, drips, hangs, says, sends

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">]><Response><Message>&a;</Message></Response>'
)
BASIC = {"WWW_Authenticate": 'Basic realm="here"'}


async def test_every_request_is_signed_as_the_official_validator_wants_it(here: Site, asking: Asking) -> None:
    here.pages |= {
        "/sms": answers('<Response><Redirect method="GET">b?c=d</Redirect></Response>'),
        "/b": says("ok"),
    }
    assert await asking.said(forward(f"http://user:pass@127.0.0.1:{here.port}/sms?a=b#rc=2")) == ["ok"]
    post, get = here.asked
    validator = RequestValidator(TOKEN)
    assert (post.method, post.target, post.form) == ("POST", "/sms?a=b", SENT)
    assert validator.validate(f"{here.url}{post.target}", post.form, post.headers["X-Twilio-Signature"])
    assert (get.method, get.body) == ("GET", b"")
    assert dict(parse_qsl(urlsplit(get.target).query, keep_blank_values=True)) == {"c": "d", **SENT}
    assert validator.validate(f"{here.url}{get.target}", {}, get.headers["X-Twilio-Signature"])
    assert post.headers["User-Agent"] == "TwilioProxy/1.1"
    assert "Authorization" not in post.headers


async def test_twilios_token_is_passed_on_once_and_others_stay_the_same_for_the_same_request(
    here: Site, asking: Asking
) -> None:
    here.pages |= {"/sms": answers(status="500 Oh"), "/b": says("ok")}
    told = ((b"i-twilio-idempotency-token", b"twilios-own"), (b"x-home-region", b"ie1"), (b"x-other", b"x"))
    to = forward(f"{here.url}/sms", f"{here.url}/b")
    for _ in range(2):
        await asking.ask(to, headers=told)
    tokens = [asked.headers["I-Twilio-Idempotency-Token"] for asked in here.asked]
    assert tokens[0] == tokens[2] == "twilios-own"
    assert tokens[1] == tokens[3] != "twilios-own"
    assert {asked.headers["X-Home-Region"] for asked in here.asked} == {"ie1"}
    assert all("x-other" not in asked.headers for asked in here.asked)


async def test_what_calls_are_made_with_is_loaded_once_by_whoever_comes_first(
    here: Site, asking: Asking
) -> None:
    here.pages["/sms"] = says("ok")
    texts = [asking.said(forward(f"{here.url}/sms")) for _ in range(4)]
    assert await asyncio.gather(*texts) == [["ok"]] * 4
    assert await asking.upstreams.start() is await asking.upstreams.start()


@pytest.mark.parametrize(
    ("behaviour", "code", "reason"),
    [
        (answers("Oh", "500 Oh", "text/html"), 11200, "HTTP 500"),
        (answers("No", "404 Not Found", "text/html"), 11200, "HTTP 404"),
        (answers("", "304 Not Modified"), 11200, "HTTP 304"),
        (answers("", "302 Found"), 11200, "HTTP 302"),
        (answers("Who?", "401 Unauthorized", **BASIC), 11200, "HTTP 401"),
        (hangs, 11200, "no answer within"),
        (drips, 11200, "no answer within"),
        (sends(b"\x00\x01 garbage \xff\r\n\r\n"), 11206, "the answer is not HTTP"),
        (sends(b"", then_closes=True), 11206, "the connection broke off"),
        (
            sends(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 99\r\n\r\n<R", then_closes=True
            ),
            11200,
            "the answer broke off",
        ),
        (sends(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"), 11206, "the answer is not HTTP"),
        (answers("<Response>" + " " * 70_000 + "</Response>"), 11750, "the answer is larger than 64 kB"),
        (
            answers(gzip.compress(b" " * 20_000_000), Content_Encoding="gzip"),
            11750,
            "the answer is larger than 64 kB",
        ),
        (answers(BOMB), 12100, "the document declares entities"),
        (answers("<Response>"), 12100, "not well-formed XML"),
        (answers("<html><body>Hi</body></html>", media_type="text/html"), 12102, "the root is <html>"),
        (answers('{"a": 1}', media_type="application/json"), 12300, "the Content-Type application/json"),
        (answers("<Response/>", media_type=None), 11200, "the answer has no Content-Type"),
        (answers(status="302 Found", Location="/sms"), 11215, "more than 10 redirects"),
        (answers("<Response><Redirect/></Response>"), 14106, "more than 10 documents"),
        (
            answers(status="307 There", Location="http://169.254.169.254/"),
            11100,
            "name 169.254.169.254 in redire",
        ),
        (
            answers("<Response><Redirect>http://localhost/</Redirect></Response>"),
            11100,
            "name localhost in redir",
        ),
        (
            answers("<Response><Redirect>file:///etc/passwd</Redirect></Response>"),
            11100,
            "must begin with https",
        ),
    ],
)
async def test_what_goes_wrong_leads_to_the_fallback_with_twilios_code(
    here: Site, there: Site, asking: Asking, behaviour: Behaviour, code: int, reason: str
) -> None:
    here.pages["/sms"], there.pages["/b"] = behaviour, says("the fallback")
    to = forward(f"{here.url}/sms", f"{there.url}/b", timeout=1.0)
    reply = await asking.ask(to)
    assert isinstance(reply, Reply)
    assert reply.texts == ("the fallback",)
    assert reply.notes[0].startswith(f"forwarded to 127.0.0.1:{here.port}/sms: {code} ")
    assert reason in reply.notes[0]
    assert there.asked[0].form == {**SENT, "ErrorCode": str(code), "ErrorUrl": f"{here.url}/sms"}


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:{closed}/sms", 11205),
        ("http://no-such-host.invalid/sms", 11210),
        ("https://127.0.0.1:{plain}/sms", 11220),
        ("http://127.0.0.1:{plain}/sms", 11206),
    ],
)
async def test_what_cannot_be_reached(here: Site, there: Site, asking: Asking, url: str, code: int) -> None:
    here.greeting, here.pages["/sms"] = b"220 mail.example.com ready\r\n", hangs
    there.pages["/b"] = says("the fallback")
    url = url.format(closed=free_port(), plain=here.port)
    assert await asking.said(forward(url, f"{there.url}/b", timeout=2.0)) == ["the fallback"]
    assert there.asked[0].form["ErrorCode"] == str(code)


async def test_the_fallback_still_has_its_share_of_the_time(here: Site, asking: Asking) -> None:
    here.pages |= {"/sms": hangs, "/b": says("the fallback")}
    to = forward(f"{here.url}/sms", f"{here.url}/b")
    assert await asking.said(to, seconds=3.0) == ["the fallback"]
    assert isinstance(await asking.ask(to, seconds=-1.0), ReplyFailed)


async def test_an_upstream_that_hangs_is_given_up_before_the_deadline(here: Site, asking: Asking) -> None:
    here.pages["/sms"] = hangs
    told = await asking.ask(forward(f"{here.url}/sms", f"{here.url}/sms"), seconds=2.0)
    assert isinstance(told, ReplyFailed)
    first, second = re.findall(r"no answer within (\S+) s", told.cause)
    assert float(first) + float(second) < 1.9


async def test_without_a_fallback_the_failure_is_the_cause(here: Site, asking: Asking) -> None:
    here.pages["/sms"] = answers(status="503 Busy")
    told = await asking.ask(forward(f"http://user:pass@127.0.0.1:{here.port}/sms?key=secret"))
    assert told == ReplyFailed(f"forwarded to 127.0.0.1:{here.port}/sms: 11200 HTTP 503")


async def test_an_empty_page_says_nothing_but_calls_the_fallback_where_there_is_one(
    here: Site, asking: Asking
) -> None:
    here.pages |= {
        "/sms": answers("", media_type=None),
        "/204": answers("", "204 No Content"),
        "/b": says("b"),
    }
    assert await asking.said(forward(f"{here.url}/sms")) == []
    assert await asking.said(forward(f"{here.url}/204", f"{here.url}/b")) == []
    assert await asking.said(forward(f"{here.url}/sms", f"{here.url}/b")) == ["b"]
    assert here.asked[-1].form["ErrorCode"] == "11770"
    assert await asking.said(forward(f"{here.url}/sms", f"{here.url}/sms")) == []


async def test_messages_before_a_redirect_that_fails_still_count(here: Site, asking: Asking) -> None:
    here.pages |= {
        "/sms": answers("<Response><Message>one</Message><Redirect>/gone</Redirect></Response>"),
        "/gone": answers(status="410 Gone"),
        "/b": says("two"),
    }
    assert await asking.said(forward(f"{here.url}/sms", f"{here.url}/b")) == ["one", "two"]
    assert here.asked[-1].form["ErrorUrl"] == f"{here.url}/gone"


async def test_no_more_than_ten_messages_are_answered(here: Site, asking: Asking) -> None:
    here.pages |= {
        "/sms": answers(f"<Response>{'<Message>a</Message>' * 6}<Redirect>/b</Redirect></Response>"),
        "/b": says(*"bcdefghij"),
    }
    assert await asking.said(forward(f"{here.url}/sms")) == ["a"] * 6 + list("bcde")


async def test_redirects_keep_or_lose_their_parameters_as_with_twilio(here: Site, asking: Asking) -> None:
    here.pages |= {
        "/sms": answers(status="307 There", Location="b"),
        "/b": answers(status="301 There", Location=f"{here.url}/c"),
        "/c": says("ok"),
    }
    assert await asking.said(forward(f"{here.url}/sms")) == ["ok"]
    assert [(asked.method, bool(asked.body)) for asked in here.asked] == [
        ("POST", 1),
        ("POST", 1),
        ("GET", 0),
    ]


async def test_a_get_is_redirected_to_what_the_link_says(here: Site, asking: Asking) -> None:
    here.pages |= {"/sms": answers(status="308 There", Location="/sms/?Body=x"), "/sms/": says("ok")}
    assert await asking.said(forward(f"{here.url}/sms", method="GET")) == ["ok"]
    assert here.targets[1] == "/sms/?Body=x"
    signature = here.asked[1].headers["X-Twilio-Signature"]
    assert RequestValidator(TOKEN).validate(f"{here.url}/sms/?Body=x", {}, signature)


@pytest.mark.parametrize("allowed", ["LOCALHOST:{port}", "[::1]", "127.0.0.1"])
async def test_another_host_is_redirected_to_where_that_is_allowed(
    here: Site, there: Site, asking: Asking, allowed: str
) -> None:
    here.pages["/sms"] = answers(f"<Response><Redirect>http://localhost:{there.port}/x</Redirect></Response>")
    there.pages["/x"] = says("elsewhere")
    to = forward(f"{here.url}/sms", hosts=(allowed.format(port=there.port),))
    reply = await asking.ask(to)
    if "port" in allowed:
        assert isinstance(reply, Reply)
        assert reply.texts == ("elsewhere",)
    else:
        assert isinstance(reply, ReplyFailed)
        assert there.asked == []


async def test_credentials_are_shown_when_they_are_asked_for_and_to_nobody_else(
    here: Site, there: Site, asking: Asking
) -> None:
    async def guarded(writer: asyncio.StreamWriter) -> None:
        known = here.asked[-1].headers.get("Authorization") == "Basic dXNlcjpwQHNz"
        page = f"<Response><Redirect>{there.url}/sms</Redirect></Response>"
        await (answers(page) if known else answers(status="401 Who?", **BASIC))(writer)

    here.pages["/sms"], there.pages["/sms"] = guarded, answers(status="401 Who?", **BASIC)
    to = forward(f"http://user:p%40ss@127.0.0.1:{here.port}/sms", hosts=(f"127.0.0.1:{there.port}",))
    assert isinstance(await asking.ask(to), ReplyFailed)
    assert ["Authorization" in asked.headers for asked in here.asked] == [False, True]
    assert ["Authorization" in asked.headers for asked in there.asked] == [False]


async def test_senders_media_and_recipients_are_kept_for_each_message(here: Site, asking: Asking) -> None:
    here.pages["/a/sms"] = answers(
        "<Response>"
        f'<Message from="+12125550100" to="{PERSON}">  one '
        "<Media>/m.png</Media><Media>ftp://m.example/m.png</Media><Media>n.png</Media></Message>"
        '<Message to="+13105550123">two</Message>'
        '<Message to="+13105550999">three</Message>'
        '<Message to="nobody">four</Message>'
        '<Message to="+12125550100">five</Message>'
        "</Response>"
    )
    await asking.people.opt_out("12345", "+13105550999", "STOP")
    reply = await asking.ask(forward(f"{here.url}/a/sms"))
    assert isinstance(reply, Reply)
    assert list(reply.parts) == [
        Part("one", [f"{here.url}/m.png", f"{here.url}/a/n.png"], "+12125550100"),
        RedirectedPart("two", [], None, "+13105550123"),
    ]
    assert reply.notes[1:] == (
        "a picture that Twilio would refuse is left out: 'ftp://m.example/m.png' is no URL",
        "a message to +1310•••0999 is left out: they have opted out",
        "a message to nobody is left out: not a phone number like +14155550123",
        "a message to +1212•••0100 is left out: it is a number of ours, which would answer itself",
    )


async def test_what_is_not_heeded_is_logged_once(
    here: Site, asking: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    here.pages["/sms"] = answers('<Response><Say>x</Say><Message action="/x">y</Message></Response>')
    for _ in range(3):
        assert await asking.said(forward(f"{here.url}/sms")) == ["y"]
    assert [line.partition(": ")[2] for line in caplog.messages] == [
        "<Say> is no verb for messages",
        "action of <Message> is not heeded: receipts come to the router",
    ]


async def test_connections_are_used_again(here: Site, asking: Asking) -> None:
    here.pages["/sms"] = says("ok")
    for _ in range(5):
        await asking.said(forward(f"{here.url}/sms"))
    assert (len(here.asked), here.connections) == (5, 1)


async def test_only_so_many_texts_are_on_their_way_to_one_upstream(here: Site, asking: Asking) -> None:
    busiest, busy, go_on = 0, 0, asyncio.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        nonlocal busiest, busy
        busy += 1
        busiest = max(busy, busiest)
        await go_on.wait()
        busy -= 1
        await says("ok")(writer)

    here.pages["/sms"] = slow
    texts = [asyncio.create_task(asking.said(forward(f"{here.url}/sms"))) for _ in range(12)]
    while busy < 4:
        await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(*texts) == [["ok"]] * 12
    assert busiest == 4


async def test_a_dead_upstream_is_left_alone_until_a_probe_succeeds(
    here: Site, there: Site, asking: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    here.pages["/sms"], there.pages["/b"] = answers(status="500 Oh"), says("b")
    to = forward(f"{here.url}/sms", f"{there.url}/b")
    for _ in range(8):
        assert await asking.said(to) == ["b"]
    assert len(here.asked) == 5
    assert [asked.form["ErrorCode"] for asked in there.asked] == ["11200"] * 8
    status = _status(asking, here.url)
    assert (status.state.value, status.calls, status.failures, status.short_circuited) == ("open", 5, 5, 3)
    assert status.trouble == f"127.0.0.1:{here.port}/sms: 11200 HTTP 500"
    assert _status(asking, f"{there.url} (as fallback)").state.value == "closed"
    assert sum("keeps failing" in line for line in caplog.messages) == 1


async def test_a_wrong_page_does_not_make_a_server_dead(here: Site, asking: Asking) -> None:
    here.pages["/sms"] = answers(status="404 Not Found")
    for _ in range(10):
        assert isinstance(await asking.ask(forward(f"{here.url}/sms")), ReplyFailed)
    assert len(here.asked) == 10
    assert _status(asking, here.url).state.value == "closed"


async def test_a_stop_ends_the_call_at_once_and_judges_nobody(here: Site, asking: Asking) -> None:
    here.pages["/sms"] = hangs
    for _ in range(6):
        call = asyncio.create_task(asking.ask(forward(f"{here.url}/sms")))
        asked = len(here.asked)
        while len(here.asked) == asked:
            await asyncio.sleep(0.001)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert _status(asking, here.url).state.value == "closed"


@pytest.mark.parametrize(
    "url", ["https://sms.example.com/sms", "https://user@SMS.example.com:443/sms/fallback?x"]
)
async def test_nothing_is_forwarded_in_a_circle(asking: Asking, url: str) -> None:
    told = await asking.ask(forward(url))
    assert isinstance(told, ReplyFailed)
    assert "that is this router; name the application's own URL" in told.cause


async def test_nothing_is_forwarded_unsigned(here: Site, asking: Asking) -> None:
    stranger = InboundMessage(TEXT.sid, "AC" + "f" * 32, None, PERSON, "12345", "", {})
    told = await asking.ask(forward(f"{here.url}/sms"), stranger)
    assert told == ReplyFailed(f"no auth token signs for {stranger.account_sid}: add it to [[accounts]]")


async def test_cookies_come_back_to_the_same_person_number_and_host(
    here: Site, there: Site, asking: Asking
) -> None:
    here.pages["/sms"] = answers("<Response/>", Set_Cookie='session="a b"; Path=/; HttpOnly')
    there.pages["/sms"] = says("there")
    to = forward(f"{here.url}/sms", hosts=(f"localhost:{there.port}",))
    for text in (TEXT, TEXT, message(recipient="54321"), message(sender="+13105550123")):
        await asking.ask(to, text)
    await asking.ask(forward(f"http://localhost:{there.port}/sms"))
    carried = [asked.headers.get("Cookie") for asked in (*here.asked, *there.asked)]
    assert carried == [None, 'session="a b"', None, None, None]


@pytest.mark.parametrize(
    "cookie", ['a="\\001"; Path=/', "a=\x01; Path=/", "a=1; Path=/\t", 'a=1; Max-Age="\\001"; Path=/']
)
async def test_a_cookie_with_control_characters_costs_no_answer(
    here: Site, asking: Asking, cookie: str
) -> None:
    answer = "<Response><Message>ok</Message></Response>"
    here.pages["/sms"] = answers(answer, Set_Cookie=cookie)
    for _ in range(2):
        assert await asking.said(forward(f"{here.url}/sms")) == ["ok"]
    assert here.asked[1].headers.get("Cookie") in (None, "a=1")


def _status(asking: Asking, name: str) -> EndpointStatus:
    return next(status for status in asking.upstreams.statuses() if status.name == name)
