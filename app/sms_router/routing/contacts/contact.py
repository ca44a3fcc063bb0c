"""What is stored of one contact in one Service, and what sender selection derives from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import cast

import redis

from sms_router.routing.handler.profile import HandlerContact
from sms_router.senders.error_table import ErrorTable
from sms_router.senders.models import (
    NO_FACTS,
    Decision,
    RecipientFacts,
    SelectionRequest,
    SenderConditions,
    SenderKind,
)
from sms_router.senders.pool import Pool
from sms_router.senders.reachability import (
    FailedDelivery,
    UnreachableSender,
    infer_unreachable,
    read_failures,
)
from sms_router.senders.selection import select
from sms_router.store.keys import bucket_of

ContactFields = Sequence[bytes] | None
"""The stored hash of a contact, as alternating names and values (`parse_contact`); None if there is none."""


@dataclass(frozen=True, slots=True)
class OptOutState:
    """An entry on the opt-out list."""

    since: int
    """Milliseconds since the epoch."""
    source: str
    """The keyword that was texted, an error code of Twilio's, or what an operator wrote."""
    order: int = field(default=0, compare=False)
    """The order of the last of several opt-outs (`change_consent.lua`)."""


@dataclass(frozen=True, slots=True)
class Contact:
    """Everything that is stored of a contact in a Service."""

    opted_out: OptOutState | None = None
    failures: Mapping[str, tuple[FailedDelivery, ...]] = field(default_factory=dict)
    """By the address of the sender."""
    last_sender: str | None = None
    profile: str = ""
    """What handlers have stored (`routing.handler.profile`)."""

    @property
    def newest(self) -> int:
        """The latest time in the stored data, in milliseconds since the epoch; 0 if there is none."""
        times = [failure.at for failures in self.failures.values() for failure in failures]
        return max(times, default=0) if self.opted_out is None else max(self.opted_out.since, *times, 0)

    def unreachable_senders(self, table: ErrorTable, now: int) -> tuple[UnreachableSender, ...]:
        """Return the senders that do not reach the contact; ``now`` is in milliseconds since the epoch."""
        inferred = (
            infer_unreachable(address, failures, table, now) for address, failures in self.failures.items()
        )
        return tuple(unreachable for unreachable in inferred if unreachable is not None)

    def facts(self, table: ErrorTable, now: int) -> RecipientFacts:
        """Return the facts for sender selection; ``now`` is in milliseconds since the epoch."""
        unreachable = frozenset(sender.address for sender in self.unreachable_senders(table, now))
        opted_out = self.opted_out is not None and self.opted_out.since <= now
        if not unreachable and not opted_out and self.last_sender is None and not self.profile:
            return NO_FACTS
        return RecipientFacts(unreachable, opted_out, self.last_sender, self.profile)


UNKNOWN = Contact()


def parse_contact(fields: Sequence[bytes]) -> Contact:
    """Parse a stored contact: alternating names and values. A value that cannot be parsed is left out."""
    opted_out = None
    last_sender, profile = None, ""
    failures: dict[str, tuple[FailedDelivery, ...]] = {}
    texts = [field.decode("utf-8", "replace") for field in fields]
    for name, value in zip(texts[::2], texts[1::2], strict=True):
        if name == ":opt-out":
            order, since, _, source = [*value.split(" ", 3), "", "", ""][:4]
            times = [int(time) if time.isdecimal() else 0 for time in (since, order)]
            opted_out = OptOutState(times[0], source, max(times))
        elif name == ":sticky-sender":
            last_sender = value.rpartition(" ")[0] or None
        elif name == ":profile":
            profile = value
        else:
            failures[name] = read_failures(value)
    return Contact(opted_out, failures, last_sender, profile)


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
