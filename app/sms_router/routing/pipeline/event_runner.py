"""Runs the handlers of events that the outbox worker leases, and ends conversations that have expired."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sms_router.delivery.entry import TIMER, OutboxEntry
from sms_router.delivery.outbox import Outbox
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.responders import EventResponder
from sms_router.routing.handler.conversation import StoredConversation
from sms_router.routing.handler.reply import ReplyFailed
from sms_router.twilio.inbound import parse_stored_request

log = logging.getLogger("sms_router.events")

MAX_CONCURRENT_EVENTS = 32
"""That one worker handles at once."""

MAX_LAG = 60.0
"""Seconds that an event may wait before operators are told."""

LAG_LIFETIME = 60.0
"""Seconds for which it is known how long an event has waited."""

RETRY_DELAYS = (1.0, 5.0, 25.0, 125.0)
"""Seconds after each failed attempt; after the last one the event is a dead letter."""


@dataclass(slots=True, eq=False)
class EventRunner:
    """Handles events; one in each worker."""

    outbox: Outbox
    contacts: Contacts
    """Makes the events of conversations that expire."""
    dispatcher: Dispatcher
    count: Callable[[str, str], None] = lambda _, __: None
    """Called with the kind of an event and "handled", "retried" or "failed"."""
    _lag: float = field(default=0.0, init=False)
    _lag_at: float = field(default=0.0, init=False)

    @property
    def lag(self) -> float:
        """Seconds that the last event has waited, if it was handled in the last minute."""
        return self._lag if time.monotonic() - self._lag_at < LAG_LIFETIME else 0.0

    def notices(self) -> list[str]:
        late = f"events wait {self.lag:.0f} s for their handlers: they are slow, or there are too few workers"
        return [late] if self.lag > MAX_LAG else []

    async def run(self, entry: OutboxEntry) -> None:
        """Handle an event once, or look after a conversation whose timer is due."""
        if entry.name == TIMER:
            await self._expire(entry)
            return
        if (claimed := await self.outbox.claim_event(entry)) is None:
            return
        message = parse_stored_request(claimed.request)
        resolution = self.dispatcher.resolve_event(message, claimed.done) if message is not None else None
        if message is None or resolution is None:
            await self.outbox.finish_event(entry, "event: its record cannot be read")
            return
        responder, kind = resolution.responder, message.parameters["Event"]
        assert isinstance(responder, EventResponder)
        if claimed.attempt == 1:
            self._lag = max(0.0, self.contacts.now() / 1000 - responder.event.at.timestamp())
            self._lag_at = time.monotonic()
        delay = RETRY_DELAYS[claimed.attempt - 1] if claimed.attempt <= len(RETRY_DELAYS) else None
        if claimed.attempt > len(RETRY_DELAYS) + 1:
            result: object = ReplyFailed("its handlers never finished: each time their worker was lost")
        else:
            result = await responder.run(message)
        if not isinstance(result, ReplyFailed):
            await self.outbox.finish_event(entry)
            self.count(kind, "handled")
            return
        cause = f"event {kind}, attempt {claimed.attempt}: {result.cause}"
        await self.outbox.finish_event(entry, cause, responder.done, delay)
        self.count(kind, "failed" if delay is None else "retried")

    async def _expire(self, timer: OutboxEntry) -> None:
        state = await self.outbox.expire_conversation(timer)
        stored = StoredConversation.parse(state, 0)
        if state is None or stored is None:
            return
        at = self.contacts.now()
        raised = self.contacts.events.record(
            "expired" if stored.step is not None else "",
            timer.scope,
            timer.contact,
            str(at),
            at,
            Step=stored.step or "",
            State=json.dumps(stored.state),
        )
        await self.outbox.expire_conversation(timer, state, raised)
