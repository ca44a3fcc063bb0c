"""TwiML that is executed: what the phone receives, and the alerts (facts 4)."""

import pytest

from tests.sandbox.sandbox_fixture import (
    NEW_YORK,
    PHONE,
    PRAIRIE_PHONE,
    SAN_FRANCISCO,
    SHORT_CODE,
    TORONTO,
    SandboxFixture,
)

IMAGE = "https://example.com/menu.png"


async def test_a_reply_is_sent_from_the_number_that_was_texted(sandbox: SandboxFixture) -> None:
    sandbox.customer.set_twiml("/sms", "<Message>Open 9 to 5</Message>")
    result = await sandbox.text("Hours", SAN_FRANCISCO)
    (message,) = result["messages"]
    assert (message["from"], message["body"], message["status"]) == (
        SAN_FRANCISCO,
        "Open 9 to 5",
        "delivered",
    )
    stored = await sandbox.call(lambda c: c.messages(message["sid"]).fetch())
    assert (stored.direction, stored.to, stored.messaging_service_sid) == ("outbound-reply", PHONE, None)


async def test_a_message_verb_can_set_sender_recipient_and_media(sandbox: SandboxFixture) -> None:
    sandbox.customer.set_twiml(
        "/sms",
        f'<Message from="{SHORT_CODE}">One</Message>'
        f'<Message to="{PRAIRIE_PHONE}" from="{NEW_YORK}"><Body>Two</Body><Media>{IMAGE}</Media></Message>',
    )
    result = await sandbox.text("Hours", SAN_FRANCISCO)
    assert [(m["from"], m["body"]) for m in result["messages"]] == [(SHORT_CODE, "One")]
    (other,) = (await sandbox.phone(PRAIRIE_PHONE))["messages"]
    assert (other["from"], other["body"], other["media"]) == (NEW_YORK, "Two", [IMAGE])


async def test_at_most_ten_replies_are_sent(sandbox: SandboxFixture) -> None:
    sandbox.customer.set_twiml("/sms", "".join(f"<Message>{index}</Message>" for index in range(12)))
    result = await sandbox.text("Hours")
    assert [m["body"] for m in result["messages"]] == [str(index) for index in range(10)]
    assert await sandbox.alert_codes() == [14109, 14109]


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
async def test_an_invalid_reply_is_an_alert_and_the_others_are_sent(
    sandbox: SandboxFixture, message: str, code: int
) -> None:
    sandbox.customer.set_twiml("/sms", message + "<Message>Next</Message>")
    result = await sandbox.text("Hours")
    assert [m["body"] for m in result["messages"]] == ["Next"]
    assert await sandbox.alert_codes() == [code]
    assert result["webhook"]["outcome"] == "answered"


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
async def test_some_mistakes_are_only_warnings(sandbox: SandboxFixture, message: str, code: int) -> None:
    sandbox.customer.set_twiml("/sms", message)
    result = await sandbox.text("Hours")
    assert [m["body"] for m in result["messages"]] == ["x"]
    (alert,) = (await sandbox.get("/sandbox/alerts"))["alerts"]
    assert (alert["error_code"], alert["log_level"]) == (code, "warning")
    assert alert["resource_sid"] == result["sid"]


async def test_a_redirect_is_followed_and_verbs_after_it_are_ignored(sandbox: SandboxFixture) -> None:
    sandbox.customer.set_twiml(
        "/sms", '<Message>1</Message><Redirect method="GET">next?a=b</Redirect><Message>3</Message>'
    )
    sandbox.customer.set_twiml("/next", "<Message>2</Message>")
    result = await sandbox.text("Hours")
    assert [m["body"] for m in result["messages"]] == ["1", "2"]
    following = sandbox.customer.requests[1]
    assert (following.method, following.path) == ("GET", "/next")
    assert f"a=b&MessageSid={result['sid']}" in following.url


async def test_circular_redirects_end_after_ten_documents(sandbox: SandboxFixture) -> None:
    sandbox.customer.set_twiml("/sms", "<Message>again</Message><Redirect>/sms</Redirect>")
    result = await sandbox.text("Hours")
    assert len(sandbox.customer.requests) == 10
    assert len(result["messages"]) == 10
    assert await sandbox.alert_codes() == [14106]


async def test_a_redirect_to_an_invalid_page_calls_the_fallback(sandbox: SandboxFixture) -> None:
    sandbox.customer.set_twiml("/sms", "<Redirect>/broken</Redirect>")
    sandbox.customer.set_twiml("/broken", "<Response>")
    result = await sandbox.text("Hours")
    assert result["webhook"]["outcome"] == "answered by the fallback"
    assert sandbox.customer.requests[2].form["ErrorUrl"] == f"{sandbox.customer.url}/broken"
    assert sandbox.customer.requests[2].form["ErrorCode"] == "12100"


async def test_an_action_is_followed_and_later_verbs_are_ignored(sandbox: SandboxFixture) -> None:
    sandbox.customer.set_twiml("/sms", '<Message action="/done">1</Message><Message>unreachable</Message>')
    sandbox.customer.set_twiml("/done", "<Message>2</Message>")
    result = await sandbox.text("Hours")
    assert [m["body"] for m in result["messages"]] == ["1", "2"]
    form = sandbox.customer.requests_to("/done")[0].form
    assert (form["MessageSid"], form["MessageStatus"]) == (result["messages"][0]["sid"], "queued")
