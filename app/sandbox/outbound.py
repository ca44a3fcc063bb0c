"""Messages that leave the account: by REST, or as the answer to an inbound one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from app.sandbox.acceptance import Draft, check
from app.sandbox.account import Account
from app.sandbox.clock import Clock
from app.sandbox.delivery import Delivery
from app.sandbox.identifiers import Identifiers
from app.sandbox.messages import Direction, Message, Status
from app.sandbox.refusals import Refusal, refusal
from app.twilio.segments import count_segments


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message on its way; ``arrival`` ends when its status is final."""

    message: Message
    arrival: asyncio.Task[None]


class Outbound:
    """The one door through which messages leave."""

    def __init__(self, account: Account, delivery: Delivery, identifiers: Identifiers, clock: Clock) -> None:
        """Check drafts against ``account`` and hand them to ``delivery``."""
        self._account = account
        self._delivery = delivery
        self._identifiers = identifiers
        self._clock = clock

    def send(
        self,
        draft: Draft,
        direction: Direction,
        status_callback: str = "",
        send_at: datetime | None = None,
    ) -> Accepted | Refusal:
        """Accept a message and set it on its way, or say why Twilio would not."""
        refused = check(draft, self._account)
        if refused is None and self._delivery.full:
            refused = refusal(21611)
        if refused:
            return refused
        message = self._message(draft, direction, status_callback, send_at)
        return Accepted(message, self._delivery.submit(message))

    def _message(
        self, draft: Draft, direction: Direction, status_callback: str, send_at: datetime | None
    ) -> Message:
        now = self._clock.now()
        return Message(
            sid=self._identifiers.sid("MM" if draft.media else "SM"),
            sender=draft.sender,
            recipient=draft.recipient,
            body=draft.body,
            direction=direction,
            status=_first_status(draft, send_at),
            created=now,
            updated=now,
            media=draft.media,
            segments=1 if draft.media else count_segments(draft.body).count,
            service_sid=draft.service_sid,
            status_callback=status_callback,
            send_at=send_at,
        )


def _first_status(draft: Draft, send_at: datetime | None) -> Status:
    """A Service accepts first and chooses afterwards; a direct message is queued at once (facts 7)."""
    if send_at:
        return Status.SCHEDULED
    return Status.ACCEPTED if draft.service_sid else Status.QUEUED
