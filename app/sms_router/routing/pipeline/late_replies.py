"""Handlers that go on after the empty answer; their replies are sent by REST, even if a worker is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from sms_router.delivery.entry import MessagePart, OutboxEntry, ReplyKind
from sms_router.delivery.outbox import Outbox
from sms_router.delivery.outbox_worker import LateReplySender
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import Resolution
from sms_router.routing.dispatch.responders import TemplateResponder
from sms_router.routing.handler.conversation import Conversation, StoredConversation
from sms_router.routing.handler.reply import SILENCE, Reply, ReplyFailed
from sms_router.routing.inbox.answer import MessageKey
from sms_router.routing.inbox.inbox import Inbox
from sms_router.routing.inbox.leases import Lease
from sms_router.routing.inbox.loop_guard import LoopGuard
from sms_router.routing.pipeline.composer import Composer, RenderedReply
from sms_router.senders.models import RecipientFacts
from sms_router.store.errors import StoreUnavailableError
from sms_router.tasks import start_task, wait_or_cancel
from sms_router.twilio.inbound import InboundMessage, parse_stored_request
from sms_router.twilio.twiml import EMPTY, parse_own

log = logging.getLogger("sms_router.later")

SHUTDOWN_TIMEOUT = 5.0
"""Seconds that handlers after their deadline get when the worker stops."""

UPSTREAM_TIMEOUT = 15.0
"""Seconds that another application gets for a late reply, as many as Twilio gives it (facts 1.4)."""

MAX_LATE_REPLIES = 1000
"""Handlers that may go on after their deadline at once; one more is stopped and run again from the outbox."""

_WHEN = {ReplyKind.LATE: "after the deadline", ReplyKind.REPLAY: "when it was replayed"}


class LateReply(NamedTuple):
    """A message whose reply is sent by REST."""

    key: MessageKey
    message: InboundMessage
    scope: str
    facts: RecipientFacts
    kind: ReplyKind = ReplyKind.LATE
    conversation: Conversation | None = None
    """What the message makes of the contact's conversation."""
    waiting_since: float | None = None
    """When the message arrived, by the monotonic clock; None where another worker took it."""
    raw: bytes = b""
    """The parameters of the message as received."""

    @property
    def entry(self) -> OutboxEntry:
        """Its entry in the outbox until its handler has returned."""
        return OutboxEntry(self.key.reference, self.kind.value, self.scope, self.key.contact)


@dataclass(slots=True, eq=False)
class LateReplies:
    """The late replies of one worker."""

    inbox: Inbox
    contacts: Contacts
    dispatcher: Dispatcher
    composer: Composer
    outbox: Outbox
    guard: LoopGuard
    error_reply: Reply
    """Sent when a handler fails after the deadline."""
    sender: LateReplySender
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def aclose(self) -> None:
        """Wait for late handlers, then cancel them; another worker runs the cancelled ones again."""
        await wait_or_cancel(self._tasks, SHUTDOWN_TIMEOUT)

    def start(
        self, late: LateReply, resolution: Resolution, handler: asyncio.Task[Reply | ReplyFailed]
    ) -> None:
        """Let a handler whose message has its empty answer continue."""
        if len(self._tasks) >= MAX_LATE_REPLIES:
            handler.cancel()
        finish = self._finish(late, resolution, handler, self.inbox.keep_renewing(late.key))
        start_task(finish, f"late {resolution.rule}", self._tasks)

    async def resume(self, entry: OutboxEntry) -> None:
        """Run a handler again whose worker was lost, or for a replay."""
        kind = ReplyKind(entry.name)
        key = MessageKey(entry.reference, entry.contact)
        if self.inbox.is_held(key):
            return  # it runs in this worker, and Redis could not renew its lease
        conversations = self.dispatcher.conversations
        work = await self.outbox.claim(
            entry, kind, self.inbox.owner, self.inbox.lease, in_conversation=conversations is not None
        )
        if work is None:
            return
        message = parse_stored_request(work.request)
        assert message is not None, "a journaled request was valid when it arrived"
        facts = self.contacts.facts(entry.scope, entry.contact, work.contact_fields, stored=True)
        facts = await self.contacts.prove(facts, entry.scope, entry.contact)
        event = self.dispatcher.resolve_event(message)
        resolution = event or self.dispatcher.resolve(message).for_contact(facts.opted_out)
        if event is None and conversations is not None and resolution.opt_out is None and not facts.opted_out:
            stored = StoredConversation.parse(*work.conversation)
            resolution = conversations.route(resolution, message, stored, facts.profile)
        late = LateReply(key, message, entry.scope, facts, kind, resolution.conversation, raw=work.request)
        log.warning("%s is handled again (attempt %d, %s)", entry.message_sid, work.attempt, resolution.rule)
        responder = self.dispatcher.wrapped(resolution, message, facts.profile)
        if isinstance(responder, TemplateResponder):
            await self.answer(late, resolution, responder.reply(message, facts.profile))
            return
        until = time.monotonic() + UPSTREAM_TIMEOUT
        handler = asyncio.create_task(responder.run(message, until, ()), name=f"handler {resolution.rule}")
        await self._finish(late, resolution, handler, self.inbox.keep_renewing(key))

    async def _finish(
        self,
        late: LateReply,
        resolution: Resolution,
        handler: asyncio.Task[Reply | ReplyFailed],
        lease: Lease,
    ) -> None:
        """Wait for a handler and put its reply into the outbox; the claim is renewed meanwhile."""
        rule, latest = resolution.rule, self.outbox.max_age
        try:
            done, _ = await asyncio.wait({handler}, timeout=latest)
            reply = handler.result() if done else None
        except asyncio.CancelledError:
            handler.cancel()
            await asyncio.wait({handler})
            log.warning("%s: stopped before its handler finished; another worker runs it again", rule)
            with contextlib.suppress(StoreUnavailableError):  # then the lease expires
                await self.outbox.release_work(late.entry, self.inbox.owner)
            return
        finally:
            self.inbox.stop_renewing(lease)
        if reply is not None:
            await self.answer(late, resolution, reply)
            return
        cause = f"{rule}: still running after {latest:g} s, and stopped"
        log.error("%s", cause)
        await self.enqueue(late, RenderedReply(EMPTY, rule), "", cause)
        handler.cancel()
        await asyncio.wait({handler}, timeout=SHUTDOWN_TIMEOUT)

    async def answer(self, late: LateReply, resolution: Resolution, reply: Reply | ReplyFailed) -> None:
        """Compose the reply of a handler, and put it into the outbox."""
        rule, when = resolution.rule, _WHEN[late.kind]
        reason, cause = f"{rule}, {when}", ""
        if isinstance(reply, ReplyFailed):
            reason = f"the error reply, {when}"
            cause = f"{rule}: failed {when}: {reply.cause}"
            # A replay follows a failure: the contact has had the error reply.
            own = self.dispatcher.replies.choose(
                "error_reply", self.error_reply, late.message, late.facts.profile
            )
            reply = own if late.kind is ReplyKind.LATE else SILENCE
        reply_id = f"{late.message.sid}.{late.kind.value}"
        rendered = self.composer.compose(late.message, reply, rule, late.facts, reply_id)
        if rendered.unsendable:
            cause = cause or f"{rule}: answered {when}, and no sender can carry the reply"
        await self.enqueue(late, rendered, reason, cause)

    async def enqueue(self, late: LateReply, rendered: RenderedReply, reason: str, cause: str = "") -> None:
        """Have the messages of a reply sent by REST; with a ``cause`` the message is a dead letter too."""
        contact = late.key.contact
        counter = None
        if late.kind is ReplyKind.LATE:
            counter = self.guard.counter_for(late.scope, contact, late.message.body, rendered.document)
        if counter is not None:
            own = self.guard.count(counter, time.monotonic())
            exceeded = await self.inbox.count_reply(counter) or own  # Redis' count decides where it serves
            if exceeded is not None:
                self.guard.mark_exceeded(counter, time.monotonic())
                self.guard.log_once(contact, exceeded)
                rendered = RenderedReply(EMPTY, f"{rendered.trail_text}\n{self.guard.reason}")
        count = len(parse_own(rendered.document))
        update = None
        if self.dispatcher.conversations is not None:
            update = self.dispatcher.conversations.update_for(late.scope, contact, late.conversation)
        is_leased = bool(count) and self.sender.has_room
        is_enqueued = await self.outbox.enqueue(
            late.entry,
            late.kind,
            rendered.document,
            rendered.trail_text,
            count,
            reason,
            cause,
            update,
            late.waiting_since,
            late.raw if late.kind is ReplyKind.LATE else b"",
            is_leased=is_leased,
        )
        if is_enqueued and is_leased:
            parts = (MessagePart(late.kind, number) for number in range(count))
            self.sender.send([late.entry._replace(name=part.name) for part in parts])
        elif count:
            self.sender.wake(contact)
