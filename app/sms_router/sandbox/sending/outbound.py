"""Messages that leave the account: by REST, as the reply to an inbound one, or from Twilio itself."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import datetime

from sms_router.sandbox.clock import Clock
from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.sending.delivery import MessageDelivery
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.state.messages import Direction, Message, SandboxMessageStatus
from sms_router.sandbox.state.opt_outs import OptOuts
from sms_router.sandbox.world.errors import ApiRejection, rejection
from sms_router.sandbox.world.numbers import (
    WITHOUT_ALPHANUMERIC,
    Number,
    country_of,
    is_alphanumeric,
    is_e164,
    is_short_code,
)
from sms_router.twilio.segments import count_segments

MAX_BODY = 1600
"""Characters."""

MAX_MEDIA = 10

_LOOK_ALIKES = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u0060\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f", " "),
        **dict.fromkeys("\u200b\u2060\ufeff", ""),
        "\u2026": "...",
        "\u2022": "*",
        "\u2044": "/",
    }
)
"""Smart Encoding: characters that are replaced by similar ones of GSM-7, to save segments (facts 5.2).

INFERENCE: the table. Emoji and other scripts are unchanged.
"""


@dataclass(frozen=True, slots=True)
class MessageDraft:
    """A message before Twilio accepts it; ``sender`` is None when the Service selects one."""

    recipient: str
    sender: str | None
    service_sid: str | None
    body: str
    media: tuple[str, ...] = ()
    smart_encoded: bool = False


@dataclass(frozen=True, slots=True)
class AcceptedMessage:
    """A message that Twilio accepted; ``arrival`` ends when its status is final."""

    message: Message
    arrival: asyncio.Task[None]


@dataclass(frozen=True, slots=True)
class OutboundMessages:
    """Accepts messages, or rejects them with Twilio's code."""

    account: Account
    opt_outs: OptOuts
    delivery: MessageDelivery
    identifiers: Identifiers
    clock: Clock

    def send(
        self,
        draft: MessageDraft,
        direction: Direction,
        status_callback: str = "",
        send_at: datetime | None = None,
    ) -> AcceptedMessage | ApiRejection:
        rejected = self._check(draft)
        if rejected:
            return rejected
        message = self._message(draft, direction, status_callback, send_at)
        return AcceptedMessage(message, self.delivery.submit(message))

    def send_for_twilio(self, sender: str, recipient: str, body: str) -> AcceptedMessage:
        """Send Twilio's reply to an opt-out keyword, which the block that it confirms does not affect."""
        message = self._message(MessageDraft(recipient, sender, None, body), Direction.REPLY, "", None)
        return AcceptedMessage(message, self.delivery.submit(message))

    def _check(self, draft: MessageDraft) -> ApiRejection | None:
        """With a Service, opt-outs and a full queue are not reported here but by a status callback."""
        rejected = _check_draft(draft, self.account)
        if rejected:
            return rejected
        if draft.service_sid is not None:
            return None
        if self.opt_outs.is_blocked(draft.sender, None, draft.recipient):
            return rejection(21610)
        return rejection(21611) if self.delivery.is_full else None

    def _message(
        self, draft: MessageDraft, direction: Direction, status_callback: str, send_at: datetime | None
    ) -> Message:
        now, body = self.clock.now(), draft.body
        service = self.account.service(draft.service_sid or "")
        if draft.smart_encoded or (service is not None and service.smart_encoding):
            body = body.translate(_LOOK_ALIKES)
        return Message(
            sid=self.identifiers.sid("MM" if draft.media else "SM"),
            sender=draft.sender,
            recipient=draft.recipient,
            body=body,
            direction=direction,
            status=_first_status(draft, send_at),
            created=now,
            updated=now,
            media=draft.media,
            segments=1 if draft.media else count_segments(body).count,
            service_sid=draft.service_sid,
            status_callback=status_callback,
            send_at=send_at,
        )


def _first_status(draft: MessageDraft, send_at: datetime | None) -> SandboxMessageStatus:
    """A Service accepts first and selects afterwards; a direct message is queued at once (facts 7)."""
    if send_at:
        return SandboxMessageStatus.SCHEDULED
    return SandboxMessageStatus.ACCEPTED if draft.service_sid else SandboxMessageStatus.QUEUED


def _check_draft(draft: MessageDraft, account: Account) -> ApiRejection | None:
    """Return why Twilio rejects a message before it exists, as HTTP 400 without a callback (facts 7.1).

    Opt-outs (21610) are checked after these, and for direct sends only.
    """
    return (
        _check_recipient(draft, account)
        or _check_content(draft)
        or _check_service(draft, account)
        or _check_sender(draft, account)
    )


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
    if not number.capabilities.sms or not number.can_text(draft.recipient):
        return rejection(21606, sender=number.address)
    if draft.media and not number.capabilities.mms:
        return rejection(21621, sender=number.address)
    return None
