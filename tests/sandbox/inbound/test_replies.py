"""TwiML executed: what the phone gets, and what the debugger says (facts 4)."""

import pytest

from tests.sandbox.bench import NEW_YORK, PHONE, PRAIRIE_PHONE, SAN_FRANCISCO, SHORT_CODE, TORONTO, Bench

IMAGE = "https://example.com/menu.png"


async def test_a_reply_leaves_from_the_number_that_was_texted(bench: Bench) -> None:
    bench.customer.says("/sms", "<Message>Open 9 to 5</Message>")
    told = await bench.text("Hours", SAN_FRANCISCO)
    (message,) = told["messages"]
    assert (message["from"], message["body"], message["status"]) == (
        SAN_FRANCISCO,
        "Open 9 to 5",
        "delivered",
    )
    kept = await bench.twilio(lambda c: c.messages(message["sid"]).fetch())
    assert (kept.direction, kept.to, kept.messaging_service_sid) == ("outbound-reply", PHONE, None)


async def test_the_sender_the_recipient_and_media_can_be_written(bench: Bench) -> None:
    bench.customer.says(
        "/sms",
        f'<Message from="{SHORT_CODE}">One</Message>'
        f'<Message to="{PRAIRIE_PHONE}" from="{NEW_YORK}"><Body>Two</Body><Media>{IMAGE}</Media></Message>',
    )
    told = await bench.text("Hours", SAN_FRANCISCO)
    assert [(m["from"], m["body"]) for m in told["messages"]] == [(SHORT_CODE, "One")]
    (other,) = (await bench.phone(PRAIRIE_PHONE))["messages"]
    assert (other["from"], other["body"], other["media"]) == (NEW_YORK, "Two", [IMAGE])


async def test_at_most_ten_replies_are_sent(bench: Bench) -> None:
    bench.customer.says("/sms", "".join(f"<Message>{index}</Message>" for index in range(12)))
    told = await bench.text("Hours")
    assert [m["body"] for m in told["messages"]] == [str(index) for index in range(10)]
    assert await bench.alert_codes() == [14109, 14109]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('<Message from="+13125550199">x</Message>', 14108),
        ('<Message from="99999">x</Message>', 14108),
        ('<Message to="nobody">x</Message>', 14101),
        ("<Message/>", 14103),
        (f"<Message>{'x' * 1601}</Message>", 14103),
        (f'<Message from="{TORONTO}"><Media>{IMAGE}</Media></Message>', 21621),
        ("<Message><Media>menu.png</Media></Message>", 21620),
        ('<Message to="+16475550123">x</Message>', 14108),
        ('<Message from="My Shop">x</Message>', 21612),
    ],
)
async def test_a_reply_that_cannot_be_sent_is_an_alert_and_the_others_go_on(
    bench: Bench, message: str, code: int
) -> None:
    bench.customer.says("/sms", message + "<Message>Next</Message>")
    told = await bench.text("Hours")
    assert [m["body"] for m in told["messages"]] == ["Next"]
    assert await bench.alert_codes() == [code]
    assert told["webhook"]["outcome"] == "answered"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('<Message statusCallback="ftp://x">x</Message>', 14105),
        ('<Message statusCallback="http://[x/s">x</Message>', 14105),
        ('<Message statusCallback="https://my_host.example/s">x</Message>', 14105),
        ('<Message messagingServiceSid="MG1">x</Message>', 12200),
        ("<Say>x</Say><Message>x</Message>", 14110),
        ('<Message action="/done" method="PUT">x</Message>', 14104),
    ],
)
async def test_some_mistakes_are_warnings_only(bench: Bench, message: str, code: int) -> None:
    bench.customer.says("/sms", message)
    told = await bench.text("Hours")
    assert [m["body"] for m in told["messages"]] == ["x"]
    (alert,) = (await bench.get("/sandbox/alerts"))["alerts"]
    assert (alert["error_code"], alert["log_level"]) == (code, "warning")
    assert alert["resource_sid"] == told["sid"]


async def test_a_redirect_is_followed_and_what_comes_after_it_is_ignored(bench: Bench) -> None:
    bench.customer.says(
        "/sms", '<Message>1</Message><Redirect method="GET">next?a=b</Redirect><Message>3</Message>'
    )
    bench.customer.says("/next", "<Message>2</Message>")
    told = await bench.text("Hours")
    assert [m["body"] for m in told["messages"]] == ["1", "2"]
    following = bench.customer.asked[1]
    assert (following.method, following.path) == ("GET", "/next")
    assert f"a=b&MessageSid={told['sid']}" in following.url


async def test_redirects_in_a_circle_end(bench: Bench) -> None:
    bench.customer.says("/sms", "<Message>again</Message><Redirect>/sms</Redirect>")
    told = await bench.text("Hours")
    assert len(bench.customer.asked) == 10
    assert len(told["messages"]) == 10
    assert await bench.alert_codes() == [14106]


async def test_a_redirect_to_a_broken_page_goes_to_the_fallback(bench: Bench) -> None:
    bench.customer.says("/sms", "<Redirect>/broken</Redirect>")
    bench.customer.says("/broken", "<Response>")
    told = await bench.text("Hours")
    assert told["webhook"]["outcome"] == "answered by the fallback"
    assert bench.customer.asked[2].form["ErrorUrl"] == f"{bench.customer.url}/broken"
    assert bench.customer.asked[2].form["ErrorCode"] == "12100"


async def test_an_action_takes_over_and_later_verbs_are_unreachable(bench: Bench) -> None:
    bench.customer.says("/sms", '<Message action="/done">1</Message><Message>unreachable</Message>')
    bench.customer.says("/done", "<Message>2</Message>")
    told = await bench.text("Hours")
    assert [m["body"] for m in told["messages"]] == ["1", "2"]
    form = bench.customer.asked_at("/done")[0].form
    assert (form["MessageSid"], form["MessageStatus"]) == (told["messages"][0]["sid"], "queued")
