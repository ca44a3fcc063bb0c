"""The router under test is configured to give the replies that are expected."""

from pathlib import Path

import phonenumbers
import pytest

from loadtests.workload.answer import Message, find_fault
from loadtests.workload.configuration import write_configuration
from loadtests.workload.contacts import FICTIONAL_CONTACTS, LOCALITIES, make_contact
from loadtests.workload.texts import EVERYDAY_TEXTS, HELP, HOURS, MENU, START, STOP, Text
from loadtests.workload.webhook import Account, WebhookBuilder
from sms_router import Reply
from sms_router.config.settings import load_settings
from sms_router.routing.dispatch.responders import HandlerResponder, TemplateResponder
from sms_router.routing.handler.thread_pool import HandlerThreadPool
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from sms_router.twilio.inbound import InboundMessage, parse_inbound
from tests.routing.rules import load_dispatcher

BUILDER = WebhookBuilder(Account("AC" + "1" * 32, "a-token", "MG" + "1" * 32, "https://sms.example.com"))
TEXTS = tuple({text.name: text for text in (*EVERYDAY_TEXTS, STOP, START, HELP)}.values())


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.name)
async def test_every_text_gets_the_expected_reply(tmp_path: Path, text: Text) -> None:
    folder = write_configuration(tmp_path / "config", tmp_path / "data")
    threads = HandlerThreadPool(1)
    dispatcher = load_dispatcher(
        folder, ("loadtests.workload.handlers",), threads, load_opt_out_keywords(folder)
    )
    message = parse_inbound(BUILDER.inbound_parameters("SM" + "a" * 32, make_contact(3), text))
    assert isinstance(message, InboundMessage)
    found = dispatcher.resolve(message)
    if found.opt_out is not None:
        reply = found.opt_out.reply
    elif isinstance(found.responder, HandlerResponder):
        outcome = await found.responder.run(message)
        threads.close()
        assert isinstance(outcome, Reply)
        reply = outcome
    else:
        assert isinstance(found.responder, TemplateResponder)
        outcome = found.responder.reply(message)
        assert isinstance(outcome, Reply)
        reply = outcome
    messages = tuple(
        Message(body, reply.media_urls if not number else (), "12345", None)
        for number, body in enumerate(reply.texts)
    )
    assert find_fault(messages, text.expected_reply(make_contact(3)), "12345") is None


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    folder = write_configuration(tmp_path / "config", tmp_path / "data", deadline=2.0)
    settings = load_settings({"SMS_ROUTER_CONFIG": str(folder)})
    assert settings.router.inline_deadline == 2.0
    assert settings.router.data_dir == tmp_path / "data"
    assert (folder / "sandbox.toml").is_file()


def test_expected_replies_have_media_and_cities() -> None:
    assert MENU.expected_reply(make_contact(0)).media == MENU.media
    assert HOURS.expected_reply(make_contact(1)).texts != HOURS.expected_reply(make_contact(2)).texts


def test_contacts_have_distinct_numbers_and_fictional_ones_first() -> None:
    contacts = [make_contact(number) for number in range(FICTIONAL_CONTACTS + 500)]
    assert len({contact.number for contact in contacts}) == len(contacts)
    for contact in contacts[:FICTIONAL_CONTACTS]:
        assert contact.number[5:8] == "555"
        assert contact.number[8:10] == "01"
    parsed = [phonenumbers.parse(contact.number) for contact in contacts]
    assert all(map(phonenumbers.is_possible_number, parsed))


def test_contacts_in_canada_are_not_answered_from_a_us_short_code() -> None:
    senders = {place.country: make_contact(number).expected_sender for number, place in enumerate(LOCALITIES)}
    assert senders == {"US": "12345", "CA": "+18885550100"}
