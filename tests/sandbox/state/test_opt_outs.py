"""STOP, START and HELP for each kind of number (facts 8)."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from twilio.base.exceptions import TwilioRestException

from sms_router.sandbox.world.loader import load_world
from sms_router.sandbox.world.opt_out_keywords import DEFAULT, OptOutKeywordList
from tests.sandbox.sandbox_fixture import (
    CANADIAN_PHONE,
    NEW_YORK,
    PHONE,
    SAN_FRANCISCO,
    SERVICE,
    SHORT_CODE,
    TOLL_FREE,
    WORLD,
    SandboxFixture,
    run_sandbox,
)

STOP_REPLY = (
    "You have successfully been unsubscribed. You will not receive any more messages from this number."
    " Reply START to resubscribe."
)
START_REPLY = (
    "You have successfully been re-subscribed to messages from this number. Reply HELP for help."
    " Reply STOP to unsubscribe. Msg&Data Rates May Apply."
)
HELP_REPLY = "Reply STOP to unsubscribe. Msg&Data Rates May Apply."
NETWORK_STOP_REPLY = (
    'NETWORK MSG: You replied with the word "stop" which blocks all texts sent from this number.'
    ' Text back "unstop" to receive messages again.'
)
NETWORK_START_REPLY = (
    'NETWORK MSG: You have replied "unstop" and will begin receiving messages again from this number.'
)

FRENCH = OptOutKeywordList(
    language="fr",
    stop=frozenset({"ARRET"}),
    start=frozenset({"DEBUT"}),
    help=frozenset({"AIDE"}),
    stop_reply="Désabonné.",
    start_reply="Réabonné.",
    help_reply="Aide.",
    countries=frozenset({"CA"}),
)


@pytest.fixture
async def advanced() -> AsyncIterator[SandboxFixture]:
    """A Service with Advanced Opt-Out, and a French list for Canada."""
    world = load_world(WORLD)
    (service,) = world.services
    service = replace(
        service,
        advanced_opt_out=True,
        opt_out_lists=(DEFAULT.model_copy(update={"stop": frozenset({"ENOUGH"})}), FRENCH),
    )
    async with run_sandbox(services=(service,)) as sandbox:
        yield sandbox


async def _replies(sandbox: SandboxFixture, body: str, to: str, sender: str = PHONE) -> list[str]:
    result = await sandbox.text(body, to, sender=sender)
    return [message["body"] for message in result["messages"]]


async def _is_blocked(sandbox: SandboxFixture, sender: str) -> bool:
    """Return whether a direct message is rejected with 21610."""
    try:
        await sandbox.call(lambda c: c.messages.create(to=PHONE, from_=sender, body="Sale"))
    except TwilioRestException as error:
        assert (error.status, error.code) == (400, 21610)
        return True
    return False


@pytest.mark.parametrize("word", ["STOP", "stop", " Stop ", "Unsubscribe", "QUIT", "OptOut"])
async def test_stop_on_a_long_code_covers_the_whole_service(sandbox: SandboxFixture, word: str) -> None:
    assert await _replies(sandbox, word, SAN_FRANCISCO) == [STOP_REPLY]
    assert "OptOutType" not in sandbox.customer.requests[0].form
    assert [await _is_blocked(sandbox, sender) for sender in (SAN_FRANCISCO, NEW_YORK, SHORT_CODE)] == [
        True
    ] * 3


@pytest.mark.parametrize("text", ["STOP PLEASE", "Stop.", "STOPP", "please stop"])
async def test_other_words_have_no_effect(sandbox: SandboxFixture, text: str) -> None:
    assert await _replies(sandbox, text, SAN_FRANCISCO) == []
    assert not await _is_blocked(sandbox, SAN_FRANCISCO)


async def test_start_removes_the_block_and_is_forwarded(sandbox: SandboxFixture) -> None:
    assert await _replies(sandbox, "YES", SAN_FRANCISCO) == []
    await sandbox.text("STOP", SAN_FRANCISCO)
    assert await _replies(sandbox, "STOP", SAN_FRANCISCO) == []
    assert await _replies(sandbox, "HELP", SAN_FRANCISCO) == []
    assert await _replies(sandbox, "YES", NEW_YORK) == [START_REPLY]
    assert await _replies(sandbox, "HELP", SAN_FRANCISCO) == [HELP_REPLY]
    assert len(sandbox.customer.requests) == 6
    assert not await _is_blocked(sandbox, SAN_FRANCISCO)


async def test_a_reply_to_an_opted_out_contact_is_an_alert(sandbox: SandboxFixture) -> None:
    sandbox.customer.set_twiml("/sms", "<Message>You are out</Message>")
    assert await _replies(sandbox, "STOP", SAN_FRANCISCO) == [STOP_REPLY]
    sandbox.customer.set_twiml("/sms", f'<Message from="{SHORT_CODE}">Still there?</Message>')
    assert await _replies(sandbox, "Hello", SHORT_CODE) == []
    assert await sandbox.alert_codes() == [21610, 21610]


async def test_a_service_reports_an_opt_out_by_status_callback(sandbox: SandboxFixture) -> None:
    await sandbox.text("STOP", SAN_FRANCISCO)
    created = await sandbox.call(
        lambda c: c.messages.create(to=PHONE, messaging_service_sid=SERVICE, body="Sale")
    )
    assert created.status == "accepted"
    await sandbox.wait_until_idle()
    last = sandbox.customer.requests_to("/sms/status")[-1].form
    assert (last["MessageSid"], last["MessageStatus"], last["ErrorCode"]) == (created.sid, "failed", "21610")


async def test_outside_of_services_only_that_number_is_blocked(sandbox: SandboxFixture) -> None:
    sid = "PN00000000000000000000000000000002"
    await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).phone_numbers(sid).delete())
    assert await _replies(sandbox, "STOP", NEW_YORK) == [STOP_REPLY]
    assert [await _is_blocked(sandbox, sender) for sender in (NEW_YORK, SAN_FRANCISCO)] == [True, False]


async def test_a_short_code_handles_no_keyword(sandbox: SandboxFixture) -> None:
    assert await _replies(sandbox, "STOP", SHORT_CODE) == []
    assert not await _is_blocked(sandbox, SHORT_CODE)


async def test_a_toll_free_number_is_blocked_by_its_network_alone(sandbox: SandboxFixture) -> None:
    sandbox.customer.set_twiml("/sms", "<Message>Bye</Message>")
    result = await sandbox.text("STOP", TOLL_FREE)
    assert [(m["from"], m["body"], m["status"]) for m in result["messages"]] == [
        (TOLL_FREE, NETWORK_STOP_REPLY, None)
    ]
    assert [(m["body"], m["error_code"]) for m in result["undelivered"]] == [("Bye", 30004)]
    assert not await _is_blocked(sandbox, SAN_FRANCISCO)
    assert await _replies(sandbox, "YES", TOLL_FREE) == []
    assert await _replies(sandbox, "HELP", TOLL_FREE) == []
    assert await _replies(sandbox, "UNSTOP", TOLL_FREE) == [NETWORK_START_REPLY, "Bye"]
    assert await sandbox.alert_codes() == []


async def test_a_toll_free_number_handles_the_other_words_as_a_long_code(sandbox: SandboxFixture) -> None:
    for word in ("HELP", "info"):
        assert await _replies(sandbox, word, TOLL_FREE) == [HELP_REPLY]
    assert await _replies(sandbox, "YES", TOLL_FREE) == []
    assert await _replies(sandbox, "CANCEL", TOLL_FREE) == [STOP_REPLY]


async def test_advanced_opt_out_handles_keywords_on_short_codes(advanced: SandboxFixture) -> None:
    assert await _replies(advanced, "enough", SHORT_CODE) == [STOP_REPLY]
    assert advanced.customer.requests[0].form["OptOutType"] == "STOP"
    assert [await _is_blocked(advanced, sender) for sender in (SHORT_CODE, TOLL_FREE)] == [True, True]
    assert await _replies(advanced, "HELP", SHORT_CODE) == []
    assert await _replies(advanced, "UNSTOP", SHORT_CODE) == [START_REPLY]
    assert await _replies(advanced, "HELP", SHORT_CODE) == [HELP_REPLY]
    types = [request.form["OptOutType"] for request in advanced.customer.requests]
    assert types == ["STOP", "HELP", "START", "HELP"]


async def test_removed_keywords_have_no_effect_but_stop_cannot_be_removed(advanced: SandboxFixture) -> None:
    assert await _replies(advanced, "QUIT", SAN_FRANCISCO) == []
    assert "OptOutType" not in advanced.customer.requests[0].form
    assert await _replies(advanced, "STOP", SAN_FRANCISCO) == [STOP_REPLY]


async def test_a_countrys_own_list_replaces_the_standard_one(advanced: SandboxFixture) -> None:
    assert await _replies(advanced, "ENOUGH", TOLL_FREE, CANADIAN_PHONE) == []
    assert await _replies(advanced, "arret", SAN_FRANCISCO, CANADIAN_PHONE) == ["Désabonné."]
    assert await _replies(advanced, "START", SAN_FRANCISCO, CANADIAN_PHONE) == [START_REPLY]


async def test_on_a_toll_free_number_the_network_replies_too(advanced: SandboxFixture) -> None:
    assert await _replies(advanced, "STOP", TOLL_FREE) == [NETWORK_STOP_REPLY]
    assert await _replies(advanced, "START", TOLL_FREE) == [NETWORK_START_REPLY, START_REPLY]
