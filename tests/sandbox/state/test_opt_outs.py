"""STOP, START and HELP for each kind of number (facts 8)."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from twilio.base.exceptions import TwilioRestException

from sms_router.sandbox import load_world
from sms_router.sandbox.world.opt_out_keywords import DEFAULT, NETWORK_STARTED, NETWORK_STOPPED, WordList
from tests.sandbox.bench import (
    CANADIAN_PHONE,
    NEW_YORK,
    PHONE,
    SAN_FRANCISCO,
    SERVICE,
    SHORT_CODE,
    TOLL_FREE,
    WORLD,
    Bench,
    running,
)

FRENCH = WordList(
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
async def advanced() -> AsyncIterator[Bench]:
    """A Service with Advanced Opt-Out, and a French list for Canada."""
    world = load_world(WORLD)
    (service,) = world.services
    service = replace(
        service,
        advanced_opt_out=True,
        opt_out_lists=(replace(DEFAULT, stop=frozenset({"ENOUGH"})), FRENCH),
    )
    async with running(services=(service,)) as bench:
        yield bench


async def _words(bench: Bench, body: str, to: str, sender: str = PHONE) -> list[str]:
    told = await bench.text(body, to, sender=sender)
    return [message["body"] for message in told["messages"]]


async def _refused(bench: Bench, sender: str) -> bool:
    """Say whether a direct send is refused with 21610."""
    try:
        await bench.twilio(lambda c: c.messages.create(to=PHONE, from_=sender, body="Sale"))
    except TwilioRestException as refused:
        assert (refused.status, refused.code) == (400, 21610)
        return True
    return False


@pytest.mark.parametrize("word", ["STOP", "stop", " Stop ", "Unsubscribe", "QUIT", "OptOut"])
async def test_a_long_code_stops_at_the_default_words_for_the_whole_service(bench: Bench, word: str) -> None:
    assert await _words(bench, word, SAN_FRANCISCO) == [DEFAULT.stop_reply]
    assert "OptOutType" not in bench.customer.asked[0].form
    assert [await _refused(bench, sender) for sender in (SAN_FRANCISCO, NEW_YORK, SHORT_CODE)] == [True] * 3


@pytest.mark.parametrize("words", ["STOP PLEASE", "Stop.", "STOPP", "please stop"])
async def test_other_words_stop_nothing(bench: Bench, words: str) -> None:
    assert await _words(bench, words, SAN_FRANCISCO) == []
    assert not await _refused(bench, SAN_FRANCISCO)


async def test_start_lifts_the_block_and_is_passed_on_too(bench: Bench) -> None:
    assert await _words(bench, "YES", SAN_FRANCISCO) == []
    await bench.text("STOP", SAN_FRANCISCO)
    assert await _words(bench, "STOP", SAN_FRANCISCO) == []
    assert await _words(bench, "HELP", SAN_FRANCISCO) == []
    assert await _words(bench, "YES", NEW_YORK) == [DEFAULT.start_reply]
    assert await _words(bench, "HELP", SAN_FRANCISCO) == [DEFAULT.help_reply]
    assert len(bench.customer.asked) == 6
    assert not await _refused(bench, SAN_FRANCISCO)


async def test_a_reply_to_somebody_who_opted_out_is_an_alert(bench: Bench) -> None:
    bench.customer.says("/sms", "<Message>You are out</Message>")
    assert await _words(bench, "STOP", SAN_FRANCISCO) == [DEFAULT.stop_reply]
    bench.customer.says("/sms", f'<Message from="{SHORT_CODE}">Still there?</Message>')
    assert await _words(bench, "Hello", SHORT_CODE) == []
    assert await bench.alert_codes() == [21610, 21610]


async def test_a_service_finds_out_later_and_reports_it(bench: Bench) -> None:
    await bench.text("STOP", SAN_FRANCISCO)
    created = await bench.twilio(
        lambda c: c.messages.create(to=PHONE, messaging_service_sid=SERVICE, body="Sale")
    )
    assert created.status == "accepted"
    await bench.settle()
    last = bench.customer.asked_at("/sms/status")[-1].form
    assert (last["MessageSid"], last["MessageStatus"], last["ErrorCode"]) == (created.sid, "failed", "21610")


async def test_outside_services_only_that_number_is_blocked(bench: Bench) -> None:
    sid = "PN00000000000000000000000000000002"
    await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).phone_numbers(sid).delete())
    assert await _words(bench, "STOP", NEW_YORK) == [DEFAULT.stop_reply]
    assert [await _refused(bench, sender) for sender in (NEW_YORK, SAN_FRANCISCO)] == [True, False]


async def test_a_short_code_leaves_everything_to_the_application(bench: Bench) -> None:
    assert await _words(bench, "STOP", SHORT_CODE) == []
    assert not await _refused(bench, SHORT_CODE)


async def test_a_toll_free_number_is_blocked_by_its_network_alone(bench: Bench) -> None:
    bench.customer.says("/sms", "<Message>Bye</Message>")
    told = await bench.text("STOP", TOLL_FREE)
    assert [(m["from"], m["body"], m["status"]) for m in told["messages"]] == [
        (TOLL_FREE, NETWORK_STOPPED, None)
    ]
    assert [(m["body"], m["error_code"]) for m in told["undelivered"]] == [("Bye", 30004)]
    assert not await _refused(bench, SAN_FRANCISCO)
    assert await _words(bench, "YES", TOLL_FREE) == []
    assert await _words(bench, "UNSTOP", TOLL_FREE) == [NETWORK_STARTED, "Bye"]
    assert await bench.alert_codes() == []


async def test_advanced_opt_out_works_on_short_codes_and_says_so(advanced: Bench) -> None:
    assert await _words(advanced, "enough", SHORT_CODE) == [DEFAULT.stop_reply]
    assert advanced.customer.asked[0].form["OptOutType"] == "STOP"
    assert [await _refused(advanced, sender) for sender in (SHORT_CODE, TOLL_FREE)] == [True, True]
    assert await _words(advanced, "HELP", SHORT_CODE) == []
    assert await _words(advanced, "UNSTOP", SHORT_CODE) == [DEFAULT.start_reply]
    assert await _words(advanced, "HELP", SHORT_CODE) == [DEFAULT.help_reply]
    types = [asked.form["OptOutType"] for asked in advanced.customer.asked]
    assert types == ["STOP", "HELP", "START", "HELP"]


async def test_words_that_were_taken_off_the_list_do_nothing_and_stop_always_works(advanced: Bench) -> None:
    assert await _words(advanced, "QUIT", SAN_FRANCISCO) == []
    assert "OptOutType" not in advanced.customer.asked[0].form
    assert await _words(advanced, "STOP", SAN_FRANCISCO) == [DEFAULT.stop_reply]


async def test_a_countrys_own_list_replaces_the_standard_one(advanced: Bench) -> None:
    assert await _words(advanced, "ENOUGH", TOLL_FREE, CANADIAN_PHONE) == []
    assert await _words(advanced, "arret", SAN_FRANCISCO, CANADIAN_PHONE) == ["Désabonné."]
    assert await _words(advanced, "START", SAN_FRANCISCO, CANADIAN_PHONE) == [DEFAULT.start_reply]


async def test_on_a_toll_free_number_the_network_speaks_over_advanced_opt_out(advanced: Bench) -> None:
    assert await _words(advanced, "STOP", TOLL_FREE) == [NETWORK_STOPPED]
    assert await _words(advanced, "START", TOLL_FREE) == [NETWORK_STARTED, DEFAULT.start_reply]
