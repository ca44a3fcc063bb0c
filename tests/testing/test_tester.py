"""The ``sms`` fixture, with a team's project."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from sms_router import Sent
from sms_router.testing import HandlerFailedError, HttpRequest, SmsTester, Undelivered
from sms_router.testing.virtual_loop import VirtualLoop
from tests.testing import handlers


@pytest.fixture(scope="session")
def sms_config() -> Path:
    return Path(__file__).parent / "config"


def test_a_text_gives_the_reply_as_a_phone_shows_it(sms: SmsTester) -> None:
    texted = sms.text("menu")
    assert (texted.text, texted.media, texted.sender, texted.replies[0].to) == (
        "Soup.",
        ("https://example.com/menu.png",),
        "12345",
        "+14155550123",
    )
    assert (texted.rule, texted.outcome, texted.trail) == (
        "MENU",
        "reply",
        ("12345: chosen: short code of US, the contact's country",),
    )
    assert sms.phone("+16475550199").text("WHO", to="+16475550100").sender == "+18885550100"
    assert sms.text(to="+12125550100", media="https://example.com/cat.png").text == "Text MENU."
    with pytest.raises(ValueError, match="not a number of the project"):
        sms.text("MENU", to="+19995550100")


def test_a_message_that_is_delivered_twice_is_handled_once(sms: SmsTester) -> None:
    handlers.runs.clear()
    first = sms.text("COUNT")
    again = sms.text("COUNT", sid=first.sid)
    assert (handlers.runs, again.text) == ([first.sid], "counted")


def test_a_conversation_goes_on_between_texts(sms: SmsTester) -> None:
    assert sms.text("BOOK").text == "Which day?"
    assert sms.phone("+14155550199").text("monday").text == "Text MENU."
    assert sms.text("Sunday").text == "Not sunday (1)"
    assert sms.conversation is not None
    assert (sms.conversation.step, sms.conversation.state) == ("day", {"tries": 1})
    assert sms.text("Monday").text == "See you on Monday."
    assert sms.conversation is None


def test_a_conversation_can_begin_in_its_middle_and_expires(sms: SmsTester) -> None:
    sms.begin("day", {"tries": 7})
    assert sms.text("x").text == "Not x (8)"
    sms.begin(handlers.day, {"tries": 2})
    assert sms.text("x").text == "Not x (3)"
    sms.clock.tick(minutes=16)
    assert sms.text("x").text == "Text MENU."


def test_a_late_reply_needs_no_waiting(sms: SmsTester) -> None:
    began = time.monotonic()
    for keyword in ("SLOW", "THREAD"):
        texted = sms.text(keyword)
        assert (texted.text, texted.outcome) == ("at last", "late")
    with pytest.raises(HandlerFailedError, match="still running after 60 s"):
        sms.text("FOREVER")
    assert time.monotonic() - began < 5


def test_handlers_read_the_time_of_the_test(sms: SmsTester) -> None:
    sms.clock.at("2026-12-24 18:30+00:00")
    assert sms.text("NOW").text == "18:30 18:30 30 24"


def test_what_a_handler_raises_is_raised(sms: SmsTester) -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        sms.text("BROKEN")
    assert [entry.name for entry in raised.traceback][-2:] == ["greeting", "broken"]
    texted = sms.text("BROKEN", expect_error=True)
    assert isinstance(texted.error, ZeroDivisionError)
    assert (texted.text, texted.outcome) == ("Sorry, something went wrong. Please try again.", "failed")
    with pytest.raises(Exception, match="limited took longer than its deadline of 3 s"):
        sms.text("LIMITED")
    with pytest.raises(Exception, match="WRONG"):
        sms.text("WRONG x")
    with pytest.raises(AssertionError, match="led to no error"):
        sms.text("MENU", expect_error=True)


def test_the_clock_honours_hours_and_dates(sms: SmsTester) -> None:
    sms.clock.tick(seconds=1 / 3)
    sms.clock.at("mon 09:00")
    assert sms.clock.now().strftime("%a %H:%M") == "Mon 09:00"
    assert sms.text("SUPPORT").text == "We are here."
    sms.clock.tick(hours=8)
    assert sms.text("SUPPORT").text == "Text MENU."
    moments = ("2026-12-24 10:00", "2026-12-28 10:00", "2026-12-24 00:00", "2026-12-10 10:00")
    for moment, reply in zip(moments, ("Half price.", "Text MENU.") * 2, strict=True):
        sms.clock.at(moment)
        assert sms.text("SALE").text == reply


def test_the_loop_s_times_are_whole_microseconds() -> None:
    """Otherwise clocks that add an offset to them differ by one, and 09:00 is before nine for some."""
    with contextlib.closing(VirtualLoop()) as loop:
        loop.jump(1 / 3)
        loop.run(asyncio.sleep(1 / 7), limit=1)
        assert [round(each, 6) for each in (loop.time(), loop.wall_offset)] == [loop.time(), loop.wall_offset]


def test_scheduled_messages_leave_when_they_are_due(sms: SmsTester) -> None:
    assert sms.text("REMIND").text == "We remind you."
    sms.clock.tick(hours=23)
    assert len(sms.received) == 1
    sms.clock.tick(hours=1, minutes=2)
    assert sms.received[-1].text == "Do you come?"
    assert sms.text("yes").text == "Thank you."
    assert [one.text for one in sms.phone("+14155550199").received] == ["They answer yes."]
    assert isinstance(sms.send("+14155550177", "Your results are here.", key="results"), Sent)
    assert sms.phone("+14155550177").received[0].sender == "12345"


def test_a_reply_that_fails_is_sent_from_another_sender(sms: SmsTester) -> None:
    sms.fail(30006, short_codes_only=True)
    texted = sms.text("MENU")
    assert texted.undelivered == (Undelivered("Soup.", "12345", 30006),)
    assert [(one.text, one.sender) for one in texted.replies] == [("Soup.", "+14155550100")]
    sms.fail(30003)
    assert (sms.text("MENU").replies, sms.undelivered[-1].code) == ((), 30003)
    sms.recover()
    assert sms.text("MENU").text == "Soup."


def test_an_opt_out_holds_in_its_own_test_only(sms: SmsTester) -> None:
    assert not sms.has_opted_out
    sms.text("STOP")
    assert sms.has_opted_out
    silent = sms.text("MENU")
    assert (silent.text, silent.outcome, silent.rule) == ("", "silent", "opted out: no reply")
    sms.text("START")
    assert sms.text("MENU").text == "Soup."


def test_events_are_handled_before_a_text_returns(sms: SmsTester) -> None:
    sms.text("Liked “Soup.”")
    sms.fail(30003)
    sms.text("BOOK")
    sms.text("STOP")
    assert [one.text for one in sms.phone("+14155550199").received] == [
        'reaction: Liked "Soup."',
        "undelivered: 30003",
        "opted_out: STOP",
    ]
    sms.text("START")
    for act in (partial(sms.text, "Liked “boom”"), partial(sms.clock.tick, seconds=2)):
        with pytest.raises(ZeroDivisionError):
            act()


def test_values_for_handlers_can_be_replaced(sms: SmsTester) -> None:
    assert sms.text("WHO").text == "Hello real"
    sms.provide(name="fake")
    assert sms.text("WHO").text == "Hello fake"


def test_resources_can_be_replaced_before_they_are_made(sms: SmsTester) -> None:
    sms.provide(database={"name": "fake"})
    assert sms.text("WHO").text == "Hello fake"


def test_other_services_respond_as_the_test_defines(sms: SmsTester) -> None:
    with pytest.raises(aiohttp.ClientConnectionError, match="a test connects to nothing"):
        sms.text("WAIT")
    clinic = sms.http("https://clinic.example.com", {"people": 5})
    assert sms.text("WAIT").text == "5 people wait."
    assert clinic.requests == [HttpRequest("POST", "https://clinic.example.com/waiting?floor=2", "people")]
    sms.http("https://clinic.example.com/waiting", status=503)
    with pytest.raises(aiohttp.ClientResponseError, match="503"):
        sms.text("WAIT")


def test_a_rule_forwards_to_an_application_of_the_test(sms: SmsTester) -> None:
    with pytest.raises(HandlerFailedError, match="VOTE: forwarded to votes"):
        sms.text("VOTE 1")
    votes = sms.http("https://votes.example.com/sms", "<Response><Message>Thanks</Message></Response>")
    assert sms.text("VOTE 2").text == "Thanks"
    assert "Body=VOTE+2" in votes.requests[0].body


def test_pytest_does_not_rewrite_the_router(sms: SmsTester) -> None:
    assert "@pytest_ar" not in vars(sys.modules[type(sms).__module__])


async def test_async_tests_use_it_too(sms: SmsTester) -> None:
    assert sms.text("MENU").text == "Soup."


def test_no_address_is_connected_to(sms: SmsTester, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        assert self.family is socket.AF_UNIX, address

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
    assert sms.text("SLOW").text == "at last"
