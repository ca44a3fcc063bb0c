"""Whether one sender can carry one reply, and the reason when it cannot."""

from __future__ import annotations

from sms_router.senders.country import CANADA, UNITED_STATES
from sms_router.senders.models import (
    Candidate,
    CandidateResult,
    Capability,
    RecipientFacts,
    SelectionRequest,
    Sender,
    SenderConditions,
    SenderKind,
)

WITHOUT_ALPHANUMERIC = frozenset({UNITED_STATES, CANADA})
"""Countries without alphanumeric sender IDs (Twilio's international support for them)."""

UNREACHABLE = "earlier messages from it did not reach this contact"
ONE_WAY_ONLY = "a contact cannot reply to an alphanumeric sender, and this reply is not one-way"


def ineligible_reason(
    sender: Sender, request: SelectionRequest, facts: RecipientFacts, conditions: SenderConditions
) -> str | None:
    """Return why a sender cannot carry a reply; None when it can."""
    reason = static_reason(sender, request.country, request.needs)
    if reason is None and sender.kind is SenderKind.ALPHANUMERIC and not request.one_way:
        reason = ONE_WAY_ONLY
    return reason or dynamic_reason(sender, facts, conditions)


def static_reason(sender: Sender, country: str | None, needs: Capability) -> str | None:
    """Return why a sender serves no contact of a country; it does not change while the pool is the same."""
    if not sender.live:
        return "not live: a port or a lease is pending"
    if needs not in sender.capabilities:
        missing = needs & ~sender.capabilities
        return f"cannot send {' or '.join(flag.name or '' for flag in Capability if flag in missing)}"
    if sender.kind is SenderKind.SHORT_CODE:
        return _border_reason(sender, country)
    if sender.kind is SenderKind.ALPHANUMERIC and country in WITHOUT_ALPHANUMERIC:
        return f"carriers in {country} do not support alphanumeric senders"
    return None


def dynamic_reason(sender: Sender, facts: RecipientFacts, conditions: SenderConditions) -> str | None:
    """Return why a sender cannot be used for this contact at this moment."""
    if sender.address in facts.unreachable:
        return UNREACHABLE
    return conditions.objection(sender.sid)


def skipped(sender: Sender, reason: str) -> Candidate:
    return Candidate(sender.address, sender.kind, CandidateResult.SKIPPED, reason, sender.sid)


def _border_reason(sender: Sender, country: str | None) -> str | None:
    # A short code sends only inside its own country (Twilio errors 21606 and 21659).
    if sender.country is None:
        return "a short code whose country is unknown"
    if country is None:
        return f"a short code of {sender.country}, and the contact's country is unknown"
    if sender.country != country:
        return f"a short code of {sender.country} does not reach {country}"
    return None
