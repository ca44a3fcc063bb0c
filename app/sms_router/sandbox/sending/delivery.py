"""Moves accepted messages through their statuses to the phone (facts 7)."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from sms_router.sandbox.background import BackgroundTasks
from sms_router.sandbox.clock import Clock
from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.sending.callbacks import CallbackQueue, StatusCallbacks
from sms_router.sandbox.sending.carrier import Transit, delivery_error, shown_content
from sms_router.sandbox.sending.selection import PoolSelector
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.state.messages import Message, MessageStore, SandboxMessageStatus
from sms_router.sandbox.state.opt_outs import OptOuts
from sms_router.sandbox.state.phones import Phonebook, PhoneInboxes, ReceivedMessage


class MessageDelivery:
    """Delivers messages from *queued* to the phone, or ends them with an error code."""

    def __init__(
        self,
        *,
        account: Account,
        messages: MessageStore,
        inboxes: PhoneInboxes,
        phonebook: Phonebook,
        opt_outs: OptOuts,
        callbacks: StatusCallbacks,
        identifiers: Identifiers,
        clock: Clock,
        randomness: random.Random,
        tasks: BackgroundTasks,
    ) -> None:
        """``randomness`` decides which messages a carrier drops."""
        self._account = account
        self._messages = messages
        self._inboxes = inboxes
        self._phonebook = phonebook
        self._opt_outs = opt_outs
        self._callbacks = callbacks
        self._identifiers = identifiers
        self._clock = clock
        self._randomness = randomness
        self._tasks = tasks
        self._selector = PoolSelector(account)

    @property
    def is_full(self) -> bool:
        """True when the queue accepts no more messages (21611)."""
        return self._tasks.is_full

    def submit(self, message: Message) -> asyncio.Task[None]:
        """Store a new message and deliver it in the background; the task ends when its status is final.

        A message that is submitted while the queue is full fails at once, with 30001 (facts 5.4).
        """
        self._messages.put(message)
        return self._tasks.start(self._overflow(message.sid) if self.is_full else self._deliver(message.sid))

    def cancel(self, message: Message) -> Message:
        """Cancel a message that has not been sent, and report it like any change."""
        return self._set_status(message.sid, CallbackQueue(), SandboxMessageStatus.CANCELED) or message

    async def _overflow(self, sid: str) -> None:
        self._set_status(sid, CallbackQueue(), SandboxMessageStatus.FAILED, 30001)

    async def _deliver(self, sid: str) -> None:
        queue = CallbackQueue()
        if not await self._enqueue(sid, queue):
            return
        message = self._set_status(sid, queue, SandboxMessageStatus.SENT)
        if message:
            await self._clock.sleep(self._phonebook.phone(message.recipient).carrier.delay)
            self._arrive(message, queue)

    async def _enqueue(self, sid: str, queue: CallbackQueue) -> bool:
        """Wait for the scheduled time and select the Service's sender; return whether it may be sent."""
        message = self._messages.get(sid)
        if message and message.send_at:
            await self._clock.sleep((message.send_at - self._clock.now()).total_seconds())
            message = self._messages.get(sid)
        if message is None or message.status.is_final:
            return False
        if message.status is SandboxMessageStatus.QUEUED:
            return True
        if self._opt_outs.is_blocked(message.sender, message.service_sid, message.recipient):
            self._set_status(sid, queue, SandboxMessageStatus.FAILED, 21610)
            return False
        service = self._account.service(message.service_sid or "")
        if message.sender is None and service is not None:
            sender = self._selector.select(service, message.recipient, with_media=bool(message.media))
            message = replace(message, sender=sender)
        if message.sender is None:
            self._set_status(sid, queue, SandboxMessageStatus.FAILED, 21703)
            return False
        self._messages.put(message)
        return self._set_status(sid, queue, SandboxMessageStatus.QUEUED) is not None

    def _arrive(self, message: Message, queue: CallbackQueue) -> None:
        service = self._account.service(message.service_sid or "")
        transit = Transit(
            message=message,
            phone=self._phonebook.phone(message.recipient),
            is_network_blocked=self._opt_outs.is_blocked_by_network(message.sender or "", message.recipient),
            converts_media=service is not None and service.mms_converter,
            random_share=self._randomness.random(),
        )
        code = delivery_error(transit)
        if code is None:
            body, media = shown_content(transit, self._identifiers.link())
            received = ReceivedMessage(message.sid, message.sender or "", body, media, self._clock.now())
            self._inboxes.add_received(message.recipient, received)
            self._set_status(message.sid, queue, SandboxMessageStatus.DELIVERED)
        else:
            self._set_status(message.sid, queue, SandboxMessageStatus.UNDELIVERED, code)

    def _set_status(
        self, sid: str, queue: CallbackQueue, status: SandboxMessageStatus, code: int | None = None
    ) -> Message | None:
        """Change a message's status and report it; None when it is deleted or its status is final."""
        message = self._messages.get(sid)
        if message is None or message.status.is_final:
            return None
        now = self._clock.now()
        sent = now if status is SandboxMessageStatus.SENT else message.sent
        message = replace(message, status=status, error_code=code, updated=now, sent=sent)
        self._messages.put(message)
        if status in (SandboxMessageStatus.UNDELIVERED, SandboxMessageStatus.FAILED):
            self._inboxes.add_missed(message.recipient, message.sid)
        self._callbacks.report(message, queue)
        return message
