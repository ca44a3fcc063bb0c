"""Whether one sender can carry one reply to one person, and why not."""

from __future__ import annotations

from sms_router.senders.conditions import SenderConditions
from sms_router.senders.country import CANADA, UNITED_STATES
from sms_router.senders.decision import Candidate, CandidateResult
from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.senders.request import RecipientFacts, SelectionRequest

WITHOUT_ALPHANUMERIC = frozenset({UNITED_STATES, CANADA})
"""Countries whose carriers take no alphanumeric sender (Twilio's country guidelines)."""


def ineligible_reason(
    sender: Sender, request: SelectionRequest, facts: RecipientFacts, conditions: SenderConditions
) -> str | None:
    """Say why this sender cannot carry the reply; None when nothing speaks against it."""
    return (
        standing_objection(sender, request.country, request.needs)
        or (None if request.one_way else two_way_objection(sender))
        or dynamic_reason(sender, facts, conditions)
    )


def standing_objection(sender: Sender, country: str | None, needs: Capability) -> str | None:
    """Say what speaks against a sender for everybody in one country."""
    if not sender.live:
        return "not live: a port or a lease is pending"
    if needs not in sender.capabilities:
        return f"it cannot send {_missing(sender, needs)}"
    if sender.kind is SenderKind.SHORT_CODE:
        return _border(sender, country)
    if sender.kind is SenderKind.ALPHANUMERIC and country in WITHOUT_ALPHANUMERIC:
        return f"carriers of {country} take no alphanumeric sender"
    return None


def two_way_objection(sender: Sender) -> str | None:
    """Say that nobody can answer a name."""
    if sender.kind is SenderKind.ALPHANUMERIC:
        return "nobody can answer a name, and the reply is not marked one-way"
    return None


def dynamic_reason(sender: Sender, facts: RecipientFacts, conditions: SenderConditions) -> str | None:
    """Say what speaks against this sender at this moment: receipts, operators, limits."""
    if sender.address in facts.unreachable:
        return "believed not to reach this person"
    return conditions.objection(sender.sid)


def rejected(sender: Sender, reason: str) -> Candidate:
    """Write the trail's line for a sender that cannot be used."""
    return Candidate(sender.address, sender.kind, CandidateResult.PASSED_OVER, reason, sender.sid)


def _border(sender: Sender, country: str | None) -> str | None:
    """A short code sends only inside its own country (facts 9.1; errors 21606 and 21659)."""
    home = sender.country or "an unnamed country"
    if country is None:
        return f"a short code of {home}, and this person's country is not known"
    if sender.country != country:
        return f"a short code of {home} does not reach {country}"
    return None


def _missing(sender: Sender, needs: Capability) -> str:
    missing = needs & ~sender.capabilities
    return " or ".join(flag.name or "" for flag in Capability if flag in missing)
