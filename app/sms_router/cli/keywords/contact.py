"""What is known of one person, for ``explain``: as kept by the routers, at any moment."""

from __future__ import annotations

from sms_router.cli.context import has_store, store_client
from sms_router.cli.times import iso
from sms_router.config.settings import Settings
from sms_router.routing.contacts.contact import UNKNOWN
from sms_router.routing.contacts.summary import ContactSummary, read_contact
from sms_router.senders.error_table import load_error_table


def load_contact(settings: Settings, scope: str, number: str, at: int) -> ContactSummary:
    """Look up what the routers know of a person; nothing before the first start."""
    table = load_error_table(settings.folder)
    person = UNKNOWN
    if has_store(settings):
        with store_client(settings) as client:
            person = read_contact(client, scope, number)
    return ContactSummary(person, table, at)


def as_json(known: ContactSummary) -> dict[str, object]:
    """Return what is known, for programs; times are ISO 8601."""
    person = known.contact
    listed = person.opted_out if known.facts.opted_out else None
    return {
        "as_of": iso(known.at / 1000),
        "opted_out": {"since": iso(listed.since / 1000), "source": listed.source} if listed else None,
        "unreachable": [
            {
                "sender": each.address,
                "code": each.code,
                "times": each.failures,
                "since": iso(each.since / 1000),
                "until": iso(each.until / 1000),
            }
            for each in known.unreachable_senders
        ],
        "last_sender": person.last_sender,
    }
