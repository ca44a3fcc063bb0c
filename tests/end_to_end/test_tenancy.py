"""Two accounts behind one router: the genuine requests of one change nothing of the other."""

from __future__ import annotations

import pytest

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import ACCOUNT, SERVICE, TOKEN, HttpResponse, RouterProcess, webhook

OTHER, OTHER_TOKEN = "AC" + "9" * 32, "the-other-token"
ACCOUNTS = f"""
[[accounts]]
sid = "{ACCOUNT}"
auth_token = "{TOKEN}"

[[accounts]]
sid = "{OTHER}"
auth_token = "{OTHER_TOKEN}"

[[services]]
sid = "{SERVICE}"
account = "{ACCOUNT}"
"""
SCOPED = f"""
[[keyword]]
words = ["HOURS"]
numbers = ["12345"]
reply = "The first account's hours."

[[keyword]]
words = ["HOURS"]
services = ["{SERVICE}"]
reply = "The first account's hours."

[default]
reply = "Hello."
"""


async def deliver_as_other(router: RouterProcess, body: str, **changed: str) -> HttpResponse:
    """Deliver a message of the other account, which names the first one's number."""
    return await router.deliver(webhook(body, AccountSid=OTHER, **changed), token=OTHER_TOKEN)


@pytest.mark.slow
async def test_requests_of_an_account_change_nothing_of_another(start_router: StartRouter) -> None:
    router = start_router(ACCOUNTS, keywords=SCOPED)
    assert "first account's hours" in (await router.deliver(webhook("HOURS"))).text
    for named in ({}, {"MessagingServiceSid": ""}):
        assert "Hello." in (await deliver_as_other(router, "HOURS", **named)).text, "no rule of the first"
        assert "unsubscribed" in (await deliver_as_other(router, "STOP", **named)).text
        assert "Hello." not in (await deliver_as_other(router, "HOURS", **named)).text
        assert "first account's hours" in (await router.deliver(webhook("HOURS"))).text, "still a contact"
        assert "again" in (await deliver_as_other(router, "START", **named)).text

    receipt = webhook("", AccountSid=OTHER, MessageStatus="undelivered", ErrorCode="21610", From="12345")
    receipt |= {"To": "+14155550123"}
    assert (
        await router.deliver(receipt, "/sms/status?reply=" + "SM" + "1" * 32, token=OTHER_TOKEN)
    ).status < 300
    assert "first account's hours" in (await router.deliver(webhook("HOURS"))).text

    assert "unsubscribed" in (await router.deliver(webhook("STOP"))).text
    assert "again" in (await deliver_as_other(router, "START")).text
    assert "first account" not in (await router.deliver(webhook("HOURS"))).text, "a START of another account"


@pytest.mark.slow
async def test_conversations_and_answers_are_not_those_of_another_account(start_router: StartRouter) -> None:
    router = start_router(ACCOUNTS, handlers="tests.end_to_end.conversation_handlers", keywords=SCOPED)
    ordered = webhook("ORDER cake")
    assert "Which size?" in (await router.deliver(ordered)).text
    assert "Hello." in (await deliver_as_other(router, "M")).text, "it is no answer to the question"
    assert "Hello." in (await deliver_as_other(router, "hi", MessageSid=ordered["MessageSid"])).text
    assert "One cake in M." in (await router.deliver(webhook("M"))).text
