"""What is known of one person in one Service, as it is kept, and as it is asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sms_router.senders.error_table import ErrorTable
from sms_router.senders.models import NO_FACTS, RecipientFacts
from sms_router.senders.reachability import Failure, UnreachableSender, infer_unreachable, read_failures

ContactFields = Sequence[bytes] | None
"""What is kept about the person, as alternating names and values (`people.read_person`); None for nothing."""


@dataclass(frozen=True, slots=True)
class OptOutState:
    """Since when a person has been on the opt-out list, and what put them there."""

    since: int
    """Milliseconds since the epoch."""
    source: str
    """The word they texted, an error code of Twilio's, or what an operator said."""


@dataclass(frozen=True, slots=True)
class Contact:
    """Everything that is kept about somebody."""

    opted_out: OptOutState | None = None
    failures: Mapping[str, tuple[Failure, ...]] = field(default_factory=dict)
    """By the sender's address."""
    last_sender: str | None = None

    @property
    def newest(self) -> int:
        """When the latest of it came about, in milliseconds since the epoch; 0 for never."""
        moments = [failure.at for failures in self.failures.values() for failure in failures]
        return max(moments, default=0) if self.opted_out is None else max(self.opted_out.since, *moments, 0)

    def beliefs(self, table: ErrorTable, now: int) -> tuple[UnreachableSender, ...]:
        """Return which senders are taken not to reach this person at a moment, in milliseconds."""
        found = (
            infer_unreachable(address, failures, table, now) for address, failures in self.failures.items()
        )
        return tuple(each for each in found if each is not None)

    def facts(self, table: ErrorTable, now: int) -> RecipientFacts:
        """Return what the selection is told at a moment; `NOTHING_LEARNED` itself when that is nothing."""
        unreachable = frozenset(each.address for each in self.beliefs(table, now))
        opted_out = self.opted_out is not None and self.opted_out.since <= now
        if not unreachable and not opted_out and self.last_sender is None:
            return NO_FACTS
        return RecipientFacts(unreachable=unreachable, opted_out=opted_out, last_sender=self.last_sender)


UNKNOWN = Contact()


def parse_contact(known: Sequence[bytes]) -> Contact:
    """Read what Redis keeps: alternating names and values; what cannot be read is left out."""
    opted_out = None
    last_sender = None
    failures: dict[str, tuple[Failure, ...]] = {}
    texts = [each.decode("utf-8", "replace") for each in known]
    for name, value in zip(texts[::2], texts[1::2], strict=True):
        if name == ":opt-out":
            _, since, source = [*value.split(" ", 2), "", ""][:3]
            opted_out = OptOutState(int(since) if since.isdecimal() else 0, source)
        elif name == ":sticky-sender":
            last_sender = value.rpartition(" ")[0] or None
        else:
            failures[name] = read_failures(value)
    return Contact(opted_out, failures, last_sender)
