"""What Twilio rejects at once, before a message exists (facts 7.1: HTTP 400, no callback).

Opt-outs (21610) are rejected at once for direct sends only; ``outbound`` checks them after these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sms_router.sandbox.state.account import Account
from sms_router.sandbox.world.errors import ApiRejection, rejection
from sms_router.sandbox.world.numbers import (
    Number,
    NumberKind,
    country_of,
    is_alphanumeric,
    is_e164,
    is_short_code,
)

MAX_BODY = 1600
"""Characters."""

MAX_MEDIA = 10

WITHOUT_ALPHANUMERIC = frozenset({"US", "CA"})
"""Countries without alphanumeric senders (INFERENCE: of the countries in the demo world)."""


@dataclass(frozen=True, slots=True)
class MessageDraft:
    """A message before Twilio accepts it; ``sender`` is None when the Service selects one."""

    recipient: str
    sender: str | None
    service_sid: str | None
    body: str
    media: tuple[str, ...] = ()
    smart_encoded: bool = False


def check_draft(draft: MessageDraft, account: Account) -> ApiRejection | None:
    """Return why Twilio rejects this message, or None when it accepts it."""
    return (
        _check_recipient(draft, account)
        or _check_content(draft)
        or _check_service(draft, account)
        or _check_sender(draft, account)
    )


def can_text(number: Number, recipient: str) -> bool:
    """Return whether a number can text this person; a short code only in its own country (facts 9.1)."""
    return number.kind is not NumberKind.SHORT_CODE or number.country == country_of(recipient)


def _check_recipient(draft: MessageDraft, account: Account) -> ApiRejection | None:
    if not draft.recipient:
        return rejection(21604)
    if is_short_code(draft.recipient):
        return rejection(21265, to=draft.recipient)
    if not is_e164(draft.recipient):
        return rejection(21211, to=draft.recipient)
    if draft.recipient == draft.sender:
        return rejection(21266, to=draft.recipient)
    return None if account.may_send_to(country_of(draft.recipient)) else rejection(21408, to=draft.recipient)


def _check_content(draft: MessageDraft) -> ApiRejection | None:
    if not draft.body and not draft.media:
        return rejection(21602)
    if len(draft.body) > MAX_BODY:
        return rejection(21617)
    if len(draft.media) > MAX_MEDIA:
        return rejection(21623)
    invalid = [url for url in draft.media if not re.match("https?://[^/]", url)]
    return rejection(21620, url=invalid[0]) if invalid else None


def _check_service(draft: MessageDraft, account: Account) -> ApiRejection | None:
    if draft.service_sid is None:
        return rejection(21603) if not draft.sender else None
    if not re.fullmatch("MG[0-9a-fA-F]{32}", draft.service_sid):
        return rejection(21705, sid=draft.service_sid)
    if account.service(draft.service_sid) is None:
        return rejection(21701)
    if not list(account.members(draft.service_sid)):
        return rejection(21704)
    if draft.sender and not _is_member(draft.sender, draft.service_sid, account):
        return rejection(21711, sender=draft.sender, sid=draft.service_sid)
    return None


def _is_member(sender: str, service_sid: str, account: Account) -> bool:
    number = account.number_at(sender)
    if number:
        return account.member(service_sid, number.sid) is not None
    return any(member.alpha_sender == sender for member in account.members(service_sid))


def _check_sender(draft: MessageDraft, account: Account) -> ApiRejection | None:
    if not draft.sender:
        return None
    number = account.number_at(draft.sender)
    if number:
        return _check_number(number, draft)
    if not is_alphanumeric(draft.sender):
        return rejection(21659, sender=draft.sender)
    if country_of(draft.recipient) in WITHOUT_ALPHANUMERIC:
        return rejection(21612, to=draft.recipient, sender=draft.sender)
    return None


def _check_number(number: Number, draft: MessageDraft) -> ApiRejection | None:
    if number.is_porting:
        return rejection(21659, sender=number.address)
    if not number.capabilities.sms or not can_text(number, draft.recipient):
        return rejection(21606, sender=number.address)
    if draft.media and not number.capabilities.mms:
        return rejection(21621, sender=number.address)
    return None
