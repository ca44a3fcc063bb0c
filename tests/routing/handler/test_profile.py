"""What handlers set of a contact: what is stored, what templates show, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis

from sms_router import Contact, Reply
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.dispatch.responders import HandlerResponder
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.handler import Handler
from sms_router.routing.handler.profile import ProfileError
from sms_router.routing.handler.reply import ReplyFailed
from sms_router.routing.keywords.templates import Templates
from sms_router.senders.error_table import load_error_table
from sms_router.store.keys import bucket_of
from sms_router.store.scripts import get_contact
from tests.routing.messages import CONTACT, message
from tests.routing.workers import START, STOP, worker

STORED = json.dumps({"language": '"es"', "@name": '"Ana"', "@visits": "3"})


@pytest.mark.parametrize(
    ("language", "attributes", "changes"),
    [
        ("es", {"name": "Ana", "visits": 3}, {}),
        (None, {"name": "Ana", "visits": 3}, {"language": False}),
        ("pt-BR", {"name": "Zoë", "member": True}, {
            "@visits": False, "language": '"pt-BR"', "@name": '"Zo\\u00eb"', "@member": "true"
        }),
    ],
)  # fmt: skip
def test_only_what_is_set_is_stored(
    language: str | None, attributes: dict[str, str | int], changes: dict[str, str | bool]
) -> None:
    contact = Contact(CONTACT, STORED)
    assert (contact.language, contact.attributes) == ("es", {"name": "Ana", "visits": 3})
    contact.language = language
    contact.attributes = attributes  # type: ignore[assignment]
    assert contact.changes() == changes


@pytest.mark.parametrize(
    ("name", "value", "refusal"),
    [
        (
            "name",
            ["Ana"],
            "contact.attributes has texts, numbers and truth values by name, not 'name'",
        ),
        ("note", "x" * 3000, "contact.attributes is too large: 3 of 32, "),
        (None, "Español", 'contact.language is like "es" or "pt-BR", not \'Español\''),
    ],
)
def test_what_cannot_be_stored_is_refused(name: str | None, value: object, refusal: str) -> None:
    contact = Contact(CONTACT, STORED)
    if name is None:
        contact.language = value  # type: ignore[assignment]
    else:
        contact.attributes[name] = value  # type: ignore[assignment]
    with pytest.raises(ProfileError) as error:
        contact.changes()
    assert str(error.value).startswith(refusal)


def test_a_template_shows_attributes_and_nothing_for_those_that_are_not_set(tmp_path: Path) -> None:
    template = Templates(tmp_path).of_text(
        "{{ contact.attributes.name or 'You' }} {{ contact.attributes.town }}{{ contact.language }}", "x"
    )
    assert template.reply(message(), "", "", STORED) == Reply("Ana es")
    assert template.reply(message(), "", "") == Reply("You")


async def test_a_profile_is_stored_with_the_reply_and_lasts(
    valkey_url: str, valkey: redis.Redis, tmp_path: Path
) -> None:
    async def greet(contact: Contact, argument: str) -> str:
        contact.attributes["name"] = argument
        contact.language = "es"
        if argument == "fail":
            raise ValueError
        return f"Hola {contact.attributes['name']}"

    async with worker(valkey_url, tmp_path) as one:
        contacts = Contacts(one.store, one.journal, lambda *_: None, load_error_table())
        environment = HandlerEnvironment(contacts=contacts)
        handler = Handler.of(greet, environment)
        key = bucket_of(CONTACT).contact("12345", CONTACT)
        for argument, expected in (("Ana", Reply("Hola Ana")), ("Bea", Reply("Hola Bea")), ("fail", None)):
            reply = await HandlerResponder(handler, argument, "").run(message())
            assert isinstance(reply, ReplyFailed) if expected is None else reply == expected
        fields = await one.store.run(get_contact(scope="12345", contact=CONTACT))
        facts = contacts.facts("12345", CONTACT, fields, stored=True)
        assert json.loads(facts.profile) == {"@name": '"Bea"', "language": '"es"'}
        await contacts.change_consent("12345", CONTACT, STOP, at=1000)
        await contacts.change_consent("12345", CONTACT, START, at=2000)
        assert (valkey.pttl(key), valkey.hkeys(key)) == (-1, [b":profile"])
        await contacts.change_profile(message(), {"@name": False, "language": False})
        assert valkey.exists(key) == 0
        await environment.aclose()
