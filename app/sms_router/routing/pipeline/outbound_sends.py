"""Sends messages that are no replies, through the same opt-out list, sender selection and outbox.

Each is stored as the late reply to a message that was never received: a record with the contact as its
sender, without a text. Its sid follows from the key, so that a key is sent once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from sms_router.delivery.entry import OutboxEntry, ReplyKind
from sms_router.delivery.message import OPTED_OUT
from sms_router.delivery.outbox import Outbox
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.handler.conversation import Conversation, ConversationError
from sms_router.routing.handler.outbound import Duplicate, OptedOut, Refused, Sent
from sms_router.routing.handler.reply import Reply
from sms_router.routing.keywords.schedule import TimeZones
from sms_router.routing.opt_outs.evidence import Event, Evidence
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.quiet_hours import QuietHours
from sms_router.senders.models import SenderKind
from sms_router.senders.pool import PoolFinder
from sms_router.store.errors import StoreUnavailableError
from sms_router.twilio.inbound import InboundMessage, InvalidWebhook, parse_inbound
from sms_router.twilio.phone_numbers import InvalidNumberError, contact_of, parse_address, parse_contact
from sms_router.twilio.twiml import parse_own

CONVERSATION = "Conversation"
"""The parameter with the conversation that begins when the message leaves."""

URGENT = "Urgent"
"""The parameter of a message that leaves in quiet hours too."""

MAX_AHEAD = timedelta(days=400)
"""Until a message is due."""


class _RefusedError(Exception):
    """Nothing is sent, for this reason."""


@dataclass(frozen=True, eq=False)
class OutboundSends:
    """Implements `Sms` in a worker."""

    contacts: Contacts
    dispatcher: Dispatcher
    composer: Composer
    outbox: Outbox
    pool_for: PoolFinder
    accounts: Mapping[str, str]
    """The account of each Service; the first one is the default."""
    zones: TimeZones
    """Of the Services, for times without a zone."""
    quiet_hours: QuietHours
    """During which a message waits that is not urgent."""
    wake_outbox: Callable[[str], None]
    """Called with a contact for whom messages are enqueued."""
    requester: str = ""
    origin: InboundMessage | None = None
    numbers: Iterator[int] = field(default_factory=count)
    """In place of keys, in the order of the calls."""

    def requested_by(self, name: str, origin: InboundMessage | None = None) -> OutboundSends:
        """Return the same, for messages that this requester asks for.

        The message, or event, that a handler is called for has the Service, and takes the place of keys: a
        handler that is run again sends nothing twice.
        """
        return replace(self, requester=name, origin=origin, numbers=count())

    async def send(
        self,
        to: str,
        reply: str | Reply,
        *,
        service: str | None = None,
        at: datetime | timedelta | None = None,
        key: str | None = None,
        then: str | Callable[..., object] | None = None,
        state: Mapping[str, Any] | None = None,
        urgent: bool = False,
    ) -> Sent | OptedOut | Duplicate | Refused:
        """Send a message; see `Sms.send`."""
        reply = Reply(reply) if isinstance(reply, str) else reply
        try:
            sid = self._service(service)
            due = self._due(sid, at)
            if any(part.to for part in reply.parts):
                raise _RefusedError("a part is addressed to another contact: send it in a message of its own")
            parameters = self._parameters(sid, to, key)
            contact = contact_of(parameters["From"])
            if urgent:
                parameters[URGENT] = "1"
            else:
                due = self.quiet_hours.end(sid, contact, due)
            facts = await self.contacts.facts_now(sid, contact)
            rule = f"sms.send {key}" if key else "sms.send"
            if facts.opted_out:
                text = "\n".join(reply.texts)
                evidence = Evidence(Event.REFUSED, rule, OPTED_OUT, parameters["MessageSid"], text=text)
                await self.contacts.record_refusal(sid, contact, evidence)
                return OptedOut()
            texted = facts.last_sender or self._first_sender(sid)
            begun = self._conversation(then if then is not None else reply.then, state)
            message = _parse({**parameters, "To": texted, **begun})
            if (refusal := self.composer.refusal(message)) is not None:
                raise _RefusedError(refusal)
        except (_RefusedError, ConversationError) as error:
            return Refused(str(error))
        except StoreUnavailableError:
            return Refused("Redis does not serve, so that the opt-out list cannot be read")
        rendered = self.composer.compose(message, reply, rule, facts, f"{message.sid}.{ReplyKind.LATE.value}")
        count = len(parse_own(rendered.document))
        if not count:
            return Refused(rendered.trail_text if rendered.unsendable else "there is nothing to send")
        is_new = await self.outbox.schedule(
            self._entry(parameters),
            rendered.document,
            rendered.trail_text,
            count,
            rule,
            urlencode(message.parameters).encode(),
            due,
        )
        if is_new and due <= time.time():
            self.wake_outbox(contact)
        return Sent(message.sid, datetime.fromtimestamp(due, UTC)) if is_new else Duplicate()

    async def cancel(self, to: str, key: str, *, service: str | None = None) -> bool:
        """Cancel a message that waits; see `Sms.cancel`.

        Raises:
            StoreUnavailableError: when Redis does not respond.

        """
        parameters = self._parameters(self._service(service), to, key)
        return await self.outbox.cancel(self._entry(parameters))

    async def begin_conversation(self, message: InboundMessage) -> None:
        """Begin the conversation of a message that leaves now, if it has one."""
        serialized, conversations = message.parameters.get(CONVERSATION), self.dispatcher.conversations
        if serialized is None or conversations is None:
            return
        scope = self.contacts.scope_of(message.service_sid, message.recipient, message.account_sid)
        conversation = Conversation(None, conversations.policy.expires_after)
        conversation.serialized = serialized.encode()
        update = conversations.update_for(scope, message.contact, conversation)
        await self.outbox.start_conversation(update)

    def quiet_until(self, message: InboundMessage) -> float:
        """Return when a message that would leave now may leave; 0 for at once."""
        if not message.is_outbound or URGENT in message.parameters:
            return 0.0
        now = time.time()
        end = self.quiet_hours.end(message.service_sid or "", message.contact, now)
        return end if end > now else 0.0

    def _service(self, service: str | None) -> str:
        own = self.origin.service_sid if self.origin is not None else None
        sid = service or (own if own in self.accounts else None) or next(iter(self.accounts), "")
        if sid not in self.accounts:
            raise _RefusedError(f"the Messaging Service {service} is not configured")
        return sid

    def _first_sender(self, service: str) -> str:
        """Return the number that counts as the texted one for a contact whom no sender has written to."""
        pool = self.pool_for(service, "", self.accounts[service])
        if pool is None or not pool.senders:
            raise _RefusedError(f"no sender of {service} is known")
        return min(pool.senders, key=lambda sender: sender.kind is not SenderKind.SHORT_CODE).address

    def _due(self, service: str, at: datetime | timedelta | None) -> float:
        """Return when a message is due, in seconds since the epoch."""
        due = now = time.time()
        if isinstance(at, datetime):
            moment = at if at.tzinfo is not None else at.replace(tzinfo=self.zones.zone_of(service))
            due = max(now, moment.timestamp())
        elif at is not None:
            due = max(now, now + at.total_seconds())
        if due - now > MAX_AHEAD.total_seconds():
            raise _RefusedError(f"at is more than {MAX_AHEAD.days} days from now")
        return due

    def _parameters(self, service: str, to: str, key: str | None) -> dict[str, str]:
        """Return the parameters of the message that stands for the one to send."""
        try:
            contact, to = parse_contact(to), parse_address(to)
        except InvalidNumberError as error:
            raise _RefusedError(f"to: {error}") from error
        if key is None:
            unique = f"{self.origin.sid} {next(self.numbers)}" if self.origin is not None else uuid4().hex
        digest = sha256(f"{service} {contact} {key or unique}".encode()).hexdigest()[:32]
        named = {"Key": key, "Requester": self.requester}
        return {
            "MessageSid": f"SM{digest}",
            "AccountSid": self.accounts[service],
            "MessagingServiceSid": service,
            "From": to,
            "Body": "",
            "Direction": "outbound-api",
            **{name: value for name, value in named.items() if value},
        }

    @staticmethod
    def _entry(parameters: Mapping[str, str]) -> OutboxEntry:
        reference = f"{parameters['AccountSid']}/{parameters['MessageSid']}"
        contact = contact_of(parameters["From"])
        return OutboxEntry(reference, ReplyKind.LATE.value, parameters["MessagingServiceSid"], contact)

    def _conversation(
        self, then: str | Callable[..., object] | None, state: Mapping[str, Any] | None
    ) -> dict[str, str]:
        """Return the parameter of the conversation that begins with a message.

        Raises:
            ConversationError: when there is no such step, or the state cannot be stored.

        """
        if then is None:
            return {}
        conversations = self.dispatcher.conversations
        if conversations is None:
            raise ConversationError("there is no @step that could take the answer")
        conversation = Conversation(None, conversations.policy.expires_after)
        conversation.state = dict(state or {})
        conversation.finish(Reply(then=then).next_step, conversations.steps, is_declared=True)
        return {CONVERSATION: conversation.serialized.decode()}


def _parse(parameters: Mapping[str, str]) -> InboundMessage:
    message = parse_inbound(parameters)
    assert not isinstance(message, InvalidWebhook), "it has all parameters"
    return message
