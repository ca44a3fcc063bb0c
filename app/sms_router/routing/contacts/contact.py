"""What is stored of one contact in one Service, and what sender selection derives from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sms_router.senders.error_table import ErrorTable
from sms_router.senders.models import NO_FACTS, RecipientFacts
from sms_router.senders.reachability import (
    FailedDelivery,
    UnreachableSender,
    infer_unreachable,
    read_failures,
)

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
