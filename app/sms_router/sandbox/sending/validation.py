"""What Twilio refuses at once, before a message exists (facts 7.1: HTTP 400, no callback).

Opt-outs (21610) are refused at once for direct sends only; ``outbound`` asks about them after these.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sms_router.sandbox.state.account import Account
from sms_router.sandbox.world.errors import ApiRejection, refusal
from sms_router.sandbox.world.numbers import (
    Number,
    NumberKind,
    country_of,
    is_alphanumeric,
    is_e164,
    is_short_code,
)

LONGEST_BODY = 1600
MOST_MEDIA = 10

WITHOUT_ALPHANUMERIC = frozenset({"US", "CA"})
"""Countries that do not carry alphanumeric senders (INFERENCE: those the demo world has)."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that somebody wants to send; ``sender`` is None when the Service chooses."""

    recipient: str
    sender: str | None
    service_sid: str | None
    body: str
    media: tuple[str, ...] = ()
    smart_encoded: bool = False


def check(draft: Draft, account: Account) -> ApiRejection | None:
    """Return why Twilio would not take this message, or None when it would."""
    for test in _TESTS:
        refused = test(draft, account)
        if refused:
            return refused
    return None


def sender_suits(number: Number, recipient: str) -> bool:
    """Say whether a number may text this person at all; a short code only in its own country (facts 9.1)."""
    if number.kind is not NumberKind.SHORT_CODE:
        return True
    return number.country == country_of(recipient)


def _recipient(draft: Draft, account: Account) -> ApiRejection | None:
    if not draft.recipient:
        return refusal(21604)
    if is_short_code(draft.recipient):
        return refusal(21265, to=draft.recipient)
    if not is_e164(draft.recipient):
        return refusal(21211, to=draft.recipient)
    if draft.recipient == draft.sender:
        return refusal(21266, to=draft.recipient)
    return None if account.may_send_to(country_of(draft.recipient)) else refusal(21408, to=draft.recipient)


def _content(draft: Draft, _: Account) -> ApiRejection | None:
    if not draft.body and not draft.media:
        return refusal(21602)
    if len(draft.body) > LONGEST_BODY:
        return refusal(21617)
    if len(draft.media) > MOST_MEDIA:
        return refusal(21623)
    broken = [url for url in draft.media if not re.match("https?://[^/]", url)]
    return refusal(21620, url=broken[0]) if broken else None


def _service(draft: Draft, account: Account) -> ApiRejection | None:
    if draft.service_sid is None:
        return refusal(21603) if not draft.sender else None
    if not re.fullmatch("MG[0-9a-fA-F]{32}", draft.service_sid):
        return refusal(21705, sid=draft.service_sid)
    if account.service(draft.service_sid) is None:
        return refusal(21701)
    members = list(account.members(draft.service_sid))
    if not members:
        return refusal(21704)
    if draft.sender and not _is_member(draft.sender, draft.service_sid, account):
        return refusal(21711, sender=draft.sender, sid=draft.service_sid)
    return None


def _is_member(sender: str, service_sid: str, account: Account) -> bool:
    number = account.number_at(sender)
    if number:
        return account.member(service_sid, number.sid) is not None
    return any(member.alpha_sender == sender for member in account.members(service_sid))


def _sender(draft: Draft, account: Account) -> ApiRejection | None:
    if not draft.sender:
        return None
    number = account.number_at(draft.sender)
    if number:
        return _number(number, draft)
    if not is_alphanumeric(draft.sender):
        return refusal(21659, sender=draft.sender)
    if country_of(draft.recipient) in WITHOUT_ALPHANUMERIC:
        return refusal(21612, to=draft.recipient, sender=draft.sender)
    return None


def _number(number: Number, draft: Draft) -> ApiRejection | None:
    if number.porting:
        return refusal(21659, sender=number.address)
    if not number.capabilities.sms or not sender_suits(number, draft.recipient):
        return refusal(21606, sender=number.address)
    if draft.media and not number.capabilities.mms:
        return refusal(21621, sender=number.address)
    return None


_TESTS: tuple[Callable[[Draft, Account], ApiRejection | None], ...] = (
    _recipient,
    _content,
    _service,
    _sender,
)
