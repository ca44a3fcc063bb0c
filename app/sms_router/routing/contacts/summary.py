"""What is known of one person at a moment, and which number they would get if a short code failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

import redis

from sms_router.routing.contacts.contact import UNKNOWN, Contact, parse_contact
from sms_router.senders.error_table import ErrorTable
from sms_router.senders.models import Decision, RecipientFacts, SelectionRequest, SenderConditions, SenderKind
from sms_router.senders.pool import Pool
from sms_router.senders.reachability import UnreachableSender
from sms_router.senders.selection import select
from sms_router.store.keys import bucket_of


@dataclass(frozen=True, slots=True)
class ContactSummary:
    """A person at a moment."""

    person: Contact
    table: ErrorTable
    moment: int
    """Milliseconds since the epoch."""

    @property
    def facts(self) -> RecipientFacts:
        """What the selection is told."""
        return self.person.facts(self.table, self.moment)

    @property
    def beliefs(self) -> tuple[UnreachableSender, ...]:
        """Which senders are taken not to reach this person."""
        return self.person.beliefs(self.table, self.moment)


@dataclass(frozen=True, slots=True)
class FailoverPreview:
    """What would come of it if the short code that answers did not reach the person."""

    address: str
    instead: Decision

    def __str__(self) -> str:
        """Say it in one line."""
        taken = next((line.reason for line in self.instead.trail if line.is_chosen), "no number is left")
        return f"{self.instead.address or 'nothing'}: {taken}"


def stored_person(client: redis.Redis, service: str, number: str) -> Contact:
    """Read a contact of a Service with redis-py's client, which answers bytes."""
    known = cast("dict[bytes, bytes]", client.hgetall(bucket_of(number).contact(service, number)))
    return parse_contact([part for pair in known.items() for part in pair]) if known else UNKNOWN


def preview_failover(
    pool: Pool | None,
    request: SelectionRequest,
    facts: RecipientFacts,
    conditions: SenderConditions,
    decision: Decision,
) -> FailoverPreview | None:
    """Choose once more without the short code that was chosen; None when none was."""
    if decision.sender is None or decision.sender.kind is not SenderKind.SHORT_CODE:
        return None
    without = replace(facts, unreachable=facts.unreachable | {decision.sender.address})
    return FailoverPreview(decision.sender.address, select(pool, request, without, conditions))


def describe(known: ContactSummary) -> Iterator[str]:
    """Say in words what is known."""
    person = known.person
    if person.opted_out is not None and known.facts.opted_out:
        yield f"on the opt-out list since {_when(person.opted_out.since)} ({person.opted_out.source})"
    for each in known.beliefs:
        yield (
            f"{each.address} is believed not to reach them since {_when(each.since)}, until "
            f"{_when(each.until)} (error {each.code}, failures: {each.failures}); then it is tried again"
        )
    believed = {each.address for each in known.beliefs}
    for address, failures in person.failures.items():
        if address not in believed and failures:
            yield f"{address} failed at {_when(failures[0].at)} (error {failures[0].code}); it is tried again"
    if person.last_sender is not None:
        yield f"last heard from {person.last_sender}"


def _when(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
