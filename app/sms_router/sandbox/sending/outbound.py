"""Messages that leave the account: by REST, as the answer to an inbound one, or from Twilio itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from sms_router.sandbox.clock import Clock
from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.sending.delivery import Delivery
from sms_router.sandbox.sending.smart_encoding import smart_encoded
from sms_router.sandbox.sending.validation import Draft, check
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.state.messages import Direction, Message, SandboxMessageStatus
from sms_router.sandbox.state.opt_outs import OptOuts
from sms_router.sandbox.world.errors import ApiRejection, refusal
from sms_router.twilio.segments import count_segments


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message on its way; ``arrival`` ends when its status is final."""

    message: Message
    arrival: asyncio.Task[None]


class Outbound:
    """The one door through which messages leave."""

    def __init__(
        self,
        account: Account,
        opt_outs: OptOuts,
        delivery: Delivery,
        identifiers: Identifiers,
        clock: Clock,
    ) -> None:
        """Check drafts against ``account`` and ``opt_outs``, and hand them to ``delivery``."""
        self._account = account
        self._opt_outs = opt_outs
        self._delivery = delivery
        self._identifiers = identifiers
        self._clock = clock

    def send(
        self,
        draft: Draft,
        direction: Direction,
        status_callback: str = "",
        send_at: datetime | None = None,
    ) -> Accepted | ApiRejection:
        """Accept a message and set it on its way, or say why Twilio would not."""
        refused = self._refused(draft)
        if refused:
            return refused
        message = self._message(draft, direction, status_callback, send_at)
        return Accepted(message, self._delivery.submit(message))

    def cancel(self, message: Message) -> Message:
        """Keep back a message that has not left; return it as it is now."""
        return self._delivery.cancel(message)

    def send_for_twilio(self, sender: str, recipient: str, body: str) -> Accepted:
        """Send the answer to an opt-out word: free, and not subject to the block that it confirms."""
        draft = Draft(recipient, sender, None, body)
        message = self._message(draft, Direction.REPLY, "", None)
        return Accepted(message, self._delivery.submit(message))

    def _refused(self, draft: Draft) -> ApiRejection | None:
        """Check a draft; a Service finds out later, in a status callback, about opt-outs and a full queue."""
        refused = check(draft, self._account)
        if refused:
            return refused
        if draft.service_sid is not None:
            return None
        if self._opt_outs.blocks(draft.sender, None, draft.recipient):
            return refusal(21610)
        return refusal(21611) if self._delivery.full else None

    def _message(
        self, draft: Draft, direction: Direction, status_callback: str, send_at: datetime | None
    ) -> Message:
        now, body = self._clock.now(), self._encoded(draft)
        return Message(
            sid=self._identifiers.sid("MM" if draft.media else "SM"),
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

    def _encoded(self, draft: Draft) -> str:
        service = self._account.service(draft.service_sid or "")
        encodes = draft.smart_encoded or (service is not None and service.smart_encoding)
        return smart_encoded(draft.body) if encodes else draft.body


def _first_status(draft: Draft, send_at: datetime | None) -> SandboxMessageStatus:
    """A Service accepts first and chooses afterwards; a direct message is queued at once (facts 7)."""
    if send_at:
        return SandboxMessageStatus.SCHEDULED
    return SandboxMessageStatus.ACCEPTED if draft.service_sid else SandboxMessageStatus.QUEUED
