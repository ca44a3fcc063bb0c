"""Messages on their way to phones: statuses, carriers, receipts (facts 7)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from app.sandbox.account import Account
from app.sandbox.callbacks import StatusCallbacks
from app.sandbox.clock import Clock
from app.sandbox.messages import Handsets, Message, MessageStore, Received, Status
from app.sandbox.numbers import is_short_code
from app.sandbox.selection import choose_sender
from app.sandbox.tasks import Tasks
from app.sandbox.world import Carrier, World


class Delivery:
    """Carries messages from *queued* to the phone, or to the reason why not."""

    def __init__(
        self,
        *,
        world: World,
        account: Account,
        messages: MessageStore,
        handsets: Handsets,
        callbacks: StatusCallbacks,
        clock: Clock,
        tasks: Tasks,
    ) -> None:
        """Work in the background with ``tasks``, at the pace of ``clock``."""
        self._world = world
        self._account = account
        self._messages = messages
        self._handsets = handsets
        self._callbacks = callbacks
        self._clock = clock
        self._tasks = tasks

    @property
    def full(self) -> bool:
        """True when the queue takes no more (21611)."""
        return self._tasks.full

    def submit(self, message: Message) -> asyncio.Task[None]:
        """Keep a new message and set it on its way; the task ends when its status is final."""
        self._messages.put(message)
        return self._tasks.start(self._carry(message.sid))

    async def _carry(self, sid: str) -> None:
        turns = asyncio.Lock()
        message = await self._queued(sid, turns)
        if message is None:
            return
        carrier = self._world.phone(message.recipient).carrier
        message = self._move(sid, turns, Status.SENT)
        if message:
            await self._clock.sleep(carrier.delay)
            self._arrive(message, carrier, turns)

    async def _queued(self, sid: str, turns: asyncio.Lock) -> Message | None:
        """Wait for the scheduled time, let the Service choose its sender, and queue."""
        message = self._messages.get(sid)
        if message and message.send_at:
            await self._clock.sleep((message.send_at - self._clock.now()).total_seconds())
            message = self._messages.get(sid)
        if message is None or message.status.final:
            return None
        if message.status is Status.QUEUED:
            return message
        if message.sender is None:
            message = self._with_sender(message)
        if message.sender is None:
            return self._move(sid, turns, Status.FAILED, 21703)
        self._messages.put(message)
        return self._move(sid, turns, Status.QUEUED)

    def _with_sender(self, message: Message) -> Message:
        service_sid = message.service_sid
        if service_sid is None or self._account.service(service_sid) is None:
            return message
        media = bool(message.media)
        number = choose_sender(self._account, service_sid, message.recipient, with_media=media)
        return replace(message, sender=number.address) if number else message

    def _arrive(self, message: Message, carrier: Carrier, turns: asyncio.Lock) -> None:
        code = carrier_refusal(carrier, message)
        sender = message.sender or ""
        if code is None:
            shown = Received(message.sid, sender, message.body, message.media, self._clock.now())
            self._handsets.show(message.recipient, shown)
            self._move(message.sid, turns, Status.DELIVERED)
        else:
            self._handsets.miss(message.recipient, message.sid)
            self._move(message.sid, turns, Status.UNDELIVERED, code)

    def _move(self, sid: str, turns: asyncio.Lock, status: Status, code: int | None = None) -> Message | None:
        """Give a message its next status and report it; None when it is gone or final already."""
        message = self._messages.get(sid)
        if message is None or message.status.final:
            return None
        now = self._clock.now()
        sent = now if status is Status.SENT else message.sent
        message = replace(message, status=status, error_code=code, updated=now, sent=sent)
        self._messages.put(message)
        self._callbacks.report(message, turns)
        return message


def carrier_refusal(carrier: Carrier, message: Message) -> int | None:
    """Return the error code with which a carrier turns a message away, or None when it carries it."""
    if is_short_code(message.sender or "") and not carrier.reaches_short_codes:
        return 30006
    if message.media and not carrier.mms:
        return 30011
    return None
