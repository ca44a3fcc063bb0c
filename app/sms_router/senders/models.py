"""The values that sender selection takes and returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, Flag, auto
from typing import NamedTuple


class SenderKind(Enum):
    """The kinds of sender that carriers treat differently."""

    SHORT_CODE = "short code"
    ALPHANUMERIC = "alphanumeric sender"
    LONG_CODE = "long code"
    TOLL_FREE = "toll-free number"


class Capability(Flag):
    """What a sender can send."""

    NONE = 0
    SMS = auto()
    MMS = auto()


@dataclass(frozen=True, slots=True)
class Sender:
    """One sender of a Messaging Service.

    ``address`` is what Twilio expects in ``From``: E.164, the bare digits of a short code (without a
    plus), or an alphanumeric sender ID. ``country`` is ISO 3166-1 alpha-2, or None for an alphanumeric
    sender. Two short codes of different countries may have the same digits, so ``sid`` identifies a
    sender and ``address`` does not.
    """

    sid: str
    address: str
    kind: SenderKind
    country: str | None
    capabilities: Capability
    live: bool = True
    """False while a port or a short-code lease is pending."""


class ReplyFrom(Enum):
    """A Service's policy; the values are those of ``reply_from`` in ``router.toml``."""

    SHORT_CODE_FIRST = "short-code-first"
    SAME_NUMBER = "same-number"


class SelectionRequest(NamedTuple):
    """One reply that needs a sender."""

    contact: str
    """Address of the recipient, as in ``From`` of the incoming message."""
    country: str | None
    """The contact's country (``country.country_of``)."""
    area_code: str | None
    """The contact's area code, in the United States and Canada only (``country.area_code_of``)."""
    needs: Capability
    texted: str
    """The number that received the message: ``To`` of the incoming message."""
    policy: ReplyFrom = ReplyFrom.SHORT_CODE_FIRST
    preferred_sender: str | None = None
    """The sender that the reply names: a handler's, another application's, or that of an opt-out reply."""
    one_way: bool = False
    """True when no response is expected, so that an alphanumeric sender may be used."""
    to_another: bool = False
    """True when the recipient is not the contact who sent the incoming message."""


@dataclass(frozen=True, slots=True)
class RecipientFacts:
    """What delivery receipts and opt-outs tell about one contact."""

    unreachable: frozenset[str] = frozenset()
    """Addresses of senders whose messages do not reach the contact."""
    opted_out: bool = False
    last_sender: str | None = None
    """The address that the contact's previous reply was sent from (Sticky Sender)."""
    profile: str = ""
    """What the team's handlers have stored of the contact; the selection does not use it."""


NO_FACTS = RecipientFacts()


@dataclass(frozen=True, slots=True)
class SenderConditions:
    """The state of the senders at one moment, the same for every recipient.

    The keys are sids of senders, and addresses for numbers that are in no Sender Pool. The values of all
    mappings but ``used`` are reasons, as they appear in the trail.
    """

    cordoned: Mapping[str, str] = field(default_factory=dict)
    """Taken out of use by an operator."""
    capped: Mapping[str, str] = field(default_factory=dict)
    """At their daily cap."""
    over_rate: Mapping[str, str] = field(default_factory=dict)
    """At their rate limit. Twilio would queue another message."""
    used: Mapping[str, float] = field(default_factory=dict)
    """When each sender was last used, in seconds of one clock. Only the order matters."""
    pending: Mapping[str, str] = field(default_factory=dict)
    """Not live yet: a port, a lease or a migration is in progress."""

    def objection(self, sender: str) -> str | None:
        """Return why a sender (its sid, or its address) cannot be used now; None when it can."""
        return (
            self.cordoned.get(sender)
            or self.pending.get(sender)
            or self.capped.get(sender)
            or self.over_rate.get(sender)
        )

    def without_rates(self) -> SenderConditions:
        return replace(self, over_rate={})

    def as_if_live(self, sid: str) -> SenderConditions:
        return replace(self, pending={key: reason for key, reason in self.pending.items() if key != sid})


NO_CONDITIONS = SenderConditions()


class CandidateResult(Enum):
    """The result of one candidate; the values appear in the trail."""

    CHOSEN = "chosen"
    SKIPPED = "skipped"
    NOT_NEEDED = "not needed"


class Candidate(NamedTuple):
    """One line of a decision's trail: a sender, and why it was chosen or not."""

    address: str
    kind: SenderKind | None
    """None for a number that is in no Sender Pool."""
    result: CandidateResult
    reason: str
    sid: str | None = None
    """None for a number that is in no Sender Pool."""

    @property
    def is_chosen(self) -> bool:
        return self.result is CandidateResult.CHOSEN

    def __str__(self) -> str:
        """Return the line: ``12345: chosen: short code of US, the contact's country``."""
        return f"{self.address}: {self.result.value}: {self.reason}"


class Decision(NamedTuple):
    """Which sender a reply leaves from, if any, with the candidates that were examined."""

    sender: Sender | None
    """None also when ``address`` is in no Sender Pool."""
    address: str | None
    """What goes into ``from`` of the reply; None when nothing can be sent."""
    trail: tuple[Candidate, ...]
    per_recipient: bool = False
    """True when another contact of the same country and area code may get another sender."""

    @property
    def trail_text(self) -> str:
        """The trail, one candidate a line."""
        return "\n".join(map(str, self.trail))


@dataclass(frozen=True, slots=True)
class Tenancy:
    """The accounts of Services and numbers; what neither lists belongs to any account that names it."""

    services: Mapping[str, str]
    numbers: Mapping[str, str]

    def is_foreign(self, account_sid: str, service_sid: str | None, number: str) -> bool:
        return (
            self.services.get(service_sid or "", account_sid) != account_sid
            or self.numbers.get(number, account_sid) != account_sid
        )
