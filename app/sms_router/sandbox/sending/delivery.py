"""Moves accepted messages through their statuses to the phone (facts 7)."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sms_router.sandbox.background import BackgroundTasks
from sms_router.sandbox.clock import Clock
from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.sending.callbacks import CallbackQueue, StatusCallbacks
from sms_router.sandbox.sending.selection import PoolSelector
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.state.messages import Message, MessageStore, SandboxMessageStatus
from sms_router.sandbox.state.opt_outs import OptOuts
from sms_router.sandbox.state.phones import Phonebook, PhoneInboxes, ReceivedMessage
from sms_router.sandbox.world.numbers import is_short_code
from sms_router.sandbox.world.world import Carrier, Phone, PhoneState

_UNDELIVERABLE = {PhoneState.LANDLINE: 30006, PhoneState.UNKNOWN: 30005}


@dataclass(frozen=True, slots=True)
class MessageDelivery:
    """Delivers messages from *queued* to the phone, or ends them with an error code."""

    account: Account
    messages: MessageStore
    inboxes: PhoneInboxes
    phonebook: Phonebook
    opt_outs: OptOuts
    callbacks: StatusCallbacks
    selector: PoolSelector
    identifiers: Identifiers
    clock: Clock
    randomness: random.Random
    """Decides which messages a carrier drops."""
    tasks: BackgroundTasks

    @property
    def is_full(self) -> bool:
        """True when the queue accepts no more messages (21611)."""
        return self.tasks.is_full

    def submit(self, message: Message) -> asyncio.Task[None]:
        """Store a new message and deliver it in the background; the task ends when its status is final.

        A message that is submitted while the queue is full fails at once, with 30001 (facts 5.4).
        """
        self.messages.put(message)
        return self.tasks.start(self._deliver(message.sid, overflows=self.is_full))

    def cancel(self, message: Message) -> Message:
        """Cancel a message that has not been sent, and report it like any change."""
        return self._set_status(message.sid, CallbackQueue(), SandboxMessageStatus.CANCELED) or message

    async def _deliver(self, sid: str, *, overflows: bool) -> None:
        queue = CallbackQueue()
        if overflows:
            self._set_status(sid, queue, SandboxMessageStatus.FAILED, 30001)
        if not await self._enqueue(sid, queue):
            return
        message = self._set_status(sid, queue, SandboxMessageStatus.SENT)
        if message:
            await self.clock.sleep(self.phonebook.phone(message.recipient).carrier.delay)
            self._arrive(message, queue)

    async def _enqueue(self, sid: str, queue: CallbackQueue) -> bool:
        """Wait for the scheduled time and select the Service's sender; return whether it may be sent."""
        message = self.messages.get(sid)
        if message and message.send_at:
            await self.clock.sleep((message.send_at - self.clock.now()).total_seconds())
            message = self.messages.get(sid)
        if message is None or message.status.is_final:
            return False
        if message.status is SandboxMessageStatus.QUEUED:
            return True
        if self.opt_outs.is_blocked(message.sender, message.service_sid, message.recipient):
            self._set_status(sid, queue, SandboxMessageStatus.FAILED, 21610)
            return False
        service = self.account.service(message.service_sid or "")
        if message.sender is None and service is not None:
            sender = self.selector.select(service, message.recipient, with_media=bool(message.media))
            message = replace(message, sender=sender)
        if message.sender is None:
            self._set_status(sid, queue, SandboxMessageStatus.FAILED, 21703)
            return False
        self.messages.put(message)
        return self._set_status(sid, queue, SandboxMessageStatus.QUEUED) is not None

    def _arrive(self, message: Message, queue: CallbackQueue) -> None:
        phone = self.phonebook.phone(message.recipient)
        code = self._delivery_error(message, phone)
        if code is None:
            body, media = message.body, message.media
            if media and not phone.carrier.mms:
                body, media = f"{body} {self.identifiers.link()}".strip(), ()
            received = ReceivedMessage(message.sid, message.sender or "", body, media, self.clock.now())
            self.inboxes.add_received(message.recipient, received)
            self._set_status(message.sid, queue, SandboxMessageStatus.DELIVERED)
        else:
            self._set_status(message.sid, queue, SandboxMessageStatus.UNDELIVERED, code)

    def _delivery_error(self, message: Message, phone: Phone) -> int | None:
        """Return the code with which a message ends as undelivered, or None when it is delivered.

        INFERENCE: the order in which the reasons are checked, where there are several.
        """
        carrier, sender, share = phone.carrier, message.sender or "", self.randomness.random()
        if self.opt_outs.is_blocked_by_network(sender, message.recipient):
            return 30004
        if phone.state in _UNDELIVERABLE:
            return _UNDELIVERABLE[phone.state]
        if is_short_code(sender) and not carrier.reaches_short_codes:
            return carrier.short_code_error
        if _filtered(carrier, message.body):
            return 30007
        if message.media and not carrier.mms:
            service = self.account.service(message.service_sid or "")
            if service is None or not service.mms_converter:  # which replaces pictures by a link (facts 5.2)
                return 30011
        return _dropped(carrier.drops, share) or (30003 if phone.state is PhoneState.OFF else None)

    def _set_status(
        self, sid: str, queue: CallbackQueue, status: SandboxMessageStatus, code: int | None = None
    ) -> Message | None:
        """Change a message's status and report it; None when it is deleted or its status is final."""
        message = self.messages.get(sid)
        if message is None or message.status.is_final:
            return None
        now = self.clock.now()
        sent = now if status is SandboxMessageStatus.SENT else message.sent
        message = replace(message, status=status, error_code=code, updated=now, sent=sent)
        self.messages.put(message)
        if status in (SandboxMessageStatus.UNDELIVERED, SandboxMessageStatus.FAILED):
            self.inboxes.add_missed(message.recipient, message.sid)
        self.callbacks.report(message, queue)
        return message


def _filtered(carrier: Carrier, body: str) -> bool:
    words = set(re.findall(r"\w+", body.casefold()))
    return any(word.casefold() in words for word in carrier.filters)


def _dropped(drops: Mapping[int, float], random_share: float) -> int | None:
    for code, share in drops.items():
        random_share -= share
        if random_share < 0:
            return code
    return None
