"""Messages on their way to phones: statuses, carriers, receipts (facts 7)."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from sms_router.sandbox.background import BackgroundTasks
from sms_router.sandbox.clock import Clock
from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.sending.callbacks import CallbackQueue, StatusCallbacks
from sms_router.sandbox.sending.carrier import Transit, rejection, shown_content
from sms_router.sandbox.sending.selection import Selection
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.state.messages import Handsets, Message, MessageStore, Received, SandboxMessageStatus
from sms_router.sandbox.state.opt_outs import OptOuts
from sms_router.sandbox.state.phonebook import Phonebook


class Delivery:
    """Carries messages from *queued* to the phone, or to the reason why not."""

    def __init__(
        self,
        *,
        account: Account,
        messages: MessageStore,
        handsets: Handsets,
        phonebook: Phonebook,
        opt_outs: OptOuts,
        callbacks: StatusCallbacks,
        identifiers: Identifiers,
        clock: Clock,
        chance: random.Random,
        tasks: BackgroundTasks,
    ) -> None:
        """Work in the background with ``tasks``, at the pace of ``clock``; ``chance`` decides on shares."""
        self._account = account
        self._messages = messages
        self._handsets = handsets
        self._phonebook = phonebook
        self._opt_outs = opt_outs
        self._callbacks = callbacks
        self._identifiers = identifiers
        self._clock = clock
        self._chance = chance
        self._tasks = tasks
        self._selection = Selection(account)

    @property
    def full(self) -> bool:
        """True when the queue takes no more (21611)."""
        return self._tasks.full

    def submit(self, message: Message) -> asyncio.Task[None]:
        """Keep a new message and set it on its way; the task ends when its status is final.

        What is submitted though the queue is full ends at once, with 30001 (facts 5.4).
        """
        self._messages.put(message)
        return self._tasks.start(self._overflow(message.sid) if self.full else self._carry(message.sid))

    def cancel(self, message: Message) -> Message:
        """Let a message that has not left end as *canceled*, and report it like any change."""
        return self._move(message.sid, CallbackQueue(), SandboxMessageStatus.CANCELED) or message

    async def _overflow(self, sid: str) -> None:
        self._move(sid, CallbackQueue(), SandboxMessageStatus.FAILED, 30001)

    async def _carry(self, sid: str) -> None:
        line = CallbackQueue()
        message = await self._queued(sid, line)
        if message is None:
            return
        message = self._move(sid, line, SandboxMessageStatus.SENT)
        if message:
            await self._clock.sleep(self._phonebook.phone(message.recipient).carrier.delay)
            self._arrive(message, line)

    async def _queued(self, sid: str, line: CallbackQueue) -> Message | None:
        """Wait for the scheduled time, let the Service choose its sender, and queue."""
        message = self._messages.get(sid)
        if message and message.send_at:
            await self._clock.sleep((message.send_at - self._clock.now()).total_seconds())
            message = self._messages.get(sid)
        if message is None or message.status.final:
            return None
        if message.status is SandboxMessageStatus.QUEUED:
            return message
        if self._opt_outs.blocks(message.sender, message.service_sid, message.recipient):
            self._move(sid, line, SandboxMessageStatus.FAILED, 21610)
            return None
        message = self._with_sender(message)
        if message.sender is None:
            self._move(sid, line, SandboxMessageStatus.FAILED, 21703)
            return None
        self._messages.put(message)
        return self._move(sid, line, SandboxMessageStatus.QUEUED)

    def _with_sender(self, message: Message) -> Message:
        service = self._account.service(message.service_sid or "")
        if message.sender or service is None:
            return message
        sender = self._selection.choose(service, message.recipient, with_media=bool(message.media))
        return replace(message, sender=sender)

    def _arrive(self, message: Message, line: CallbackQueue) -> None:
        journey = self._journey(message)
        code = rejection(journey)
        if code is None:
            body, media = shown_content(journey, self._identifiers.link())
            shown = Received(message.sid, message.sender or "", body, media, self._clock.now())
            self._handsets.show(message.recipient, shown)
            self._move(message.sid, line, SandboxMessageStatus.DELIVERED)
        else:
            self._handsets.miss(message.recipient, message.sid)
            self._move(message.sid, line, SandboxMessageStatus.UNDELIVERED, code)

    def _journey(self, message: Message) -> Transit:
        service = self._account.service(message.service_sid or "")
        return Transit(
            message=message,
            phone=self._phonebook.phone(message.recipient),
            network_blocked=self._opt_outs.network_blocks(message.sender or "", message.recipient),
            as_link=service is not None and service.mms_converter,
            luck=self._chance.random(),
        )

    def _move(
        self, sid: str, line: CallbackQueue, status: SandboxMessageStatus, code: int | None = None
    ) -> Message | None:
        """Give a message its next status and report it; None when it is gone or final already."""
        message = self._messages.get(sid)
        if message is None or message.status.final:
            return None
        now = self._clock.now()
        sent = now if status is SandboxMessageStatus.SENT else message.sent
        message = replace(message, status=status, error_code=code, updated=now, sent=sent)
        self._messages.put(message)
        self._callbacks.report(message, line)
        return message
