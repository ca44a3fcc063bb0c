"""What is stored of a contact as sentences, and which sender would be used if a short code failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

import redis

from sms_router.routing.contacts.contact import UNKNOWN, Contact, parse_contact
from sms_router.routing.handler.profile import HandlerContact
from sms_router.senders.error_table import ErrorTable
from sms_router.senders.models import Decision, RecipientFacts, SelectionRequest, SenderConditions, SenderKind
from sms_router.senders.pool import Pool
from sms_router.senders.reachability import UnreachableSender
from sms_router.senders.selection import select
from sms_router.store.keys import bucket_of


@dataclass(frozen=True, slots=True)
class ContactSummary:
    """A contact at a point in time."""

    contact: Contact
    table: ErrorTable
    at: int
    """Milliseconds since the epoch."""

    @property
    def facts(self) -> RecipientFacts:
        return self.contact.facts(self.table, self.at)

    @property
    def unreachable_senders(self) -> tuple[UnreachableSender, ...]:
        return self.contact.unreachable_senders(self.table, self.at)


@dataclass(frozen=True, slots=True)
class FailoverPreview:
    """The selection without the short code that was selected first."""

    address: str
    """The short code."""
    decision: Decision

    def __str__(self) -> str:
        """Return the sender and the reason in one line."""
        reason = next((line.reason for line in self.decision.trail if line.is_chosen), "no sender is left")
        return f"{self.decision.address or 'nothing'}: {reason}"


def read_contact(client: redis.Redis, service: str, number: str) -> Contact:
    """Read a contact of a Service with redis-py's client, which returns bytes."""
    fields = cast("dict[bytes, bytes]", client.hgetall(bucket_of(number).contact(service, number)))
    return parse_contact([part for pair in fields.items() for part in pair]) if fields else UNKNOWN


def preview_failover(
    pool: Pool | None,
    request: SelectionRequest,
    facts: RecipientFacts,
    conditions: SenderConditions,
    decision: Decision,
) -> FailoverPreview | None:
    """Make a decision again, with the same arguments, without its short code; return None if it has none."""
    if decision.sender is None or decision.sender.kind is not SenderKind.SHORT_CODE:
        return None
    without = replace(facts, unreachable=facts.unreachable | {decision.sender.address})
    return FailoverPreview(decision.sender.address, select(pool, request, without, conditions))


def describe_contact(summary: ContactSummary) -> Iterator[str]:
    """Yield what is stored of a contact as sentences."""
    contact = summary.contact
    if contact.opted_out is not None and summary.facts.opted_out:
        yield f"on the opt-out list since {_format(contact.opted_out.since)} ({contact.opted_out.source})"
    for sender in summary.unreachable_senders:
        yield (
            f"{sender.address} has not reached the contact since {_format(sender.since)} (error "
            f"{sender.code}, failures: {sender.failures}); it is used again after {_format(sender.until)}"
        )
    unreachable = {sender.address for sender in summary.unreachable_senders}
    for address, failures in contact.failures.items():
        if address not in unreachable and failures:
            failure = failures[0]
            yield f"{address} failed at {_format(failure.at)} (error {failure.code}); it is used again"
    stored = HandlerContact("", contact.profile)
    if stored.language is not None:
        yield f"the language is {stored.language}"
    if stored.attributes:
        yield f"handlers have stored {', '.join(sorted(stored.attributes))}"
    if contact.last_sender is not None:
        yield f"the last sender was {contact.last_sender}"


def _format(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
