"""What is asked of the selection, and what is known about the person who waits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from sms_router.senders.models import Capability


class ReplyFrom(Enum):
    """A Service's policy; the values are those of ``reply_from`` in the configuration."""

    SHORT_CODE_FIRST = "short-code-first"
    SAME_NUMBER = "same-number"


class SelectionRequest(NamedTuple):
    """One reply that needs a sender."""

    person: str
    """Who gets it, as in ``From`` of the message."""
    country: str | None
    """The person's country, ISO 3166, two letters (``country.country_of``)."""
    area_code: str | None
    """The person's area code in the United States and Canada (``country.area_code_of``)."""
    needs: Capability
    texted: str
    """The number of ours that the person texted."""
    policy: ReplyFrom = ReplyFrom.SHORT_CODE_FIRST
    preferred_sender: str | None = None
    """The sender that the handler asked for."""
    one_way: bool = False
    """No answer is expected, so that an alphanumeric sender may be used."""
    to_another: bool = False
    """It goes to somebody other than the person who texted, and the number texted says nothing about them."""


@dataclass(frozen=True, slots=True)
class RecipientFacts:
    """What receipts and opt-outs have taught about this person (design 7 and 8)."""

    unreachable: frozenset[str] = frozenset()
    """Addresses that are believed not to reach this person."""
    opted_out: bool = False
    last_sender: str | None = None
    """The address that this person last heard from."""


NO_FACTS = RecipientFacts()
