"""What is stored about a contact, at any moment."""

from __future__ import annotations

from sms_router.cli.store import read_store
from sms_router.cli.times import iso
from sms_router.config.settings import Settings
from sms_router.routing.contacts.contact import UNKNOWN
from sms_router.routing.contacts.summary import ContactSummary, read_contact
from sms_router.routing.handler.conversation import StoredConversation
from sms_router.routing.handler.profile import HandlerContact
from sms_router.routing.pipeline.replay_preview import read_conversation
from sms_router.senders.error_table import load_error_table
from sms_router.twilio.inbound import InboundMessage


def load_contact(settings: Settings, scope: str, number: str, at: int) -> ContactSummary:
    """Read what is stored about a contact at a moment (milliseconds); nothing before the first start."""
    contact = read_store(settings, lambda client: read_contact(client, scope, number), UNKNOWN)
    return ContactSummary(contact, load_error_table(settings.folder), at)


def load_conversation(settings: Settings, message: InboundMessage, at: int) -> StoredConversation | None:
    """Read the conversation of the contact who sends a message, at a moment (milliseconds)."""
    scope = message.service_sid or message.recipient
    return read_store(settings, lambda client: read_conversation(client, scope, message.contact, at), None)


def contact_as_json(summary: ContactSummary) -> dict[str, object]:
    contact, stored = summary.contact, HandlerContact("", summary.contact.profile)
    opt_out = contact.opted_out if summary.facts.opted_out else None
    return {
        "as_of": iso(summary.at / 1000),
        "opted_out": {"since": iso(opt_out.since / 1000), "source": opt_out.source} if opt_out else None,
        "unreachable": [
            {
                "sender": unreachable.address,
                "code": unreachable.code,
                "times": unreachable.failures,
                "since": iso(unreachable.since / 1000),
                "until": iso(unreachable.until / 1000),
            }
            for unreachable in summary.unreachable_senders
        ],
        "last_sender": contact.last_sender,
        "language": stored.language,
        "attributes": stored.attributes,
    }
