"""What the router under test is configured to say is what its answers are held against."""

from pathlib import Path

import phonenumbers
import pytest

from loadtests.crowd.answer import Message, fault_in
from loadtests.crowd.configuration import write_configuration
from loadtests.crowd.people import FICTIONAL, PLACES, person
from loadtests.crowd.texts import EVERYDAY, HELP, HOURS, MENU, START, STOP, Text
from loadtests.crowd.webhook import Account, Caller
from sms_router import Reply
from sms_router.config.settings import load_settings
from sms_router.routing.dispatch.responders import HandlerResponder, TemplateResponder
from sms_router.routing.handler.thread_pool import HandlerThreadPool
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from sms_router.twilio.inbound import InboundMessage, read_inbound
from tests.routing.rules import load_dispatcher

CALLER = Caller(Account("AC" + "1" * 32, "a-token", "MG" + "1" * 32, "https://sms.example.com"))
TEXTS = tuple({text.name: text for text in (*EVERYDAY, STOP, START, HELP)}.values())


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.name)
async def test_every_text_is_answered_with_what_is_due(tmp_path: Path, text: Text) -> None:
    folder = write_configuration(tmp_path / "config", tmp_path / "data")
    threads = HandlerThreadPool(1)
    dispatcher = load_dispatcher(
        folder, ("loadtests.crowd.handlers",), threads, load_opt_out_keywords(folder)
    )
    message = read_inbound(CALLER.inbound("SM" + "a" * 32, person(3), text))
    assert isinstance(message, InboundMessage)
    found = dispatcher.resolve(message)
    if found.heard is not None:
        reply = found.heard.reply
    elif isinstance(found.action, HandlerResponder):
        outcome = await found.action.run(message)
        threads.close()
        assert isinstance(outcome, Reply)
        reply = outcome
    else:
        assert isinstance(found.action, TemplateResponder)
        outcome = found.action.reply(message)
        assert isinstance(outcome, Reply)
        reply = outcome
    said = tuple(
        Message(body, reply.media_urls if not number else (), "12345", None)
        for number, body in enumerate(reply.texts)
    )
    assert fault_in(said, text.due(person(3)), "12345") is None


def test_the_folder_is_a_valid_one(tmp_path: Path) -> None:
    folder = write_configuration(tmp_path / "config", tmp_path / "data", deadline=2.0)
    settings = load_settings({"SMS_ROUTER_CONFIG": str(folder)})
    assert settings.router.inline_deadline == 2.0
    assert settings.router.data_dir == tmp_path / "data"
    assert (folder / "sandbox.toml").is_file()


def test_pictures_and_cities_are_part_of_what_is_due() -> None:
    assert MENU.due(person(0)).media == MENU.media
    assert HOURS.due(person(1)).texts != HOURS.due(person(2)).texts


def test_people_are_told_apart_and_the_fictional_ones_are_nobody() -> None:
    people = [person(number) for number in range(FICTIONAL + 500)]
    assert len({each.number for each in people}) == len(people)
    for each in people[:FICTIONAL]:
        assert each.number[5:8] == "555"
        assert each.number[8:10] == "01"
    parsed = [phonenumbers.parse(each.number) for each in people]
    assert all(map(phonenumbers.is_possible_number, parsed))


def test_canadians_are_not_answered_from_a_short_code_of_the_us() -> None:
    senders = {place.country: person(number).answered_from for number, place in enumerate(PLACES)}
    assert senders == {"US": "12345", "CA": "+18885550100"}
