"""Messages that leave the account: by REST, as the reply to an inbound one, or from Twilio itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from sms_router.sandbox.clock import Clock
from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.sending.delivery import MessageDelivery
from sms_router.sandbox.sending.validation import MessageDraft, check_draft
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.state.messages import Direction, Message, SandboxMessageStatus
from sms_router.sandbox.state.opt_outs import OptOuts
from sms_router.sandbox.world.errors import ApiRejection, rejection
from sms_router.twilio.segments import count_segments

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
        rejected = check_draft(draft, self.account)
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
