"""Work that goes on after the empty answer; its reply leaves by REST, also when its worker is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from sms_router.delivery.entry import OutboxEntry, ReplyKind
from sms_router.delivery.outbox import Outbox
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import Resolution
from sms_router.routing.dispatch.responders import TemplateResponder
from sms_router.routing.handler.conversation import Conversation, StoredConversation
from sms_router.routing.handler.reply import SILENCE, Reply, ReplyFailed
from sms_router.routing.inbox.answer import MessageKey
from sms_router.routing.inbox.inbox import Inbox
from sms_router.routing.inbox.loop_guard import LoopGuard
from sms_router.routing.pipeline.composed import RenderedReply
from sms_router.routing.pipeline.composer import Composer
from sms_router.senders.models import RecipientFacts
from sms_router.store.errors import StoreUnavailableError
from sms_router.twilio.inbound import InboundMessage, parse_stored_request
from sms_router.twilio.twiml import EMPTY, parse_own

log = logging.getLogger("sms_router.later")

SHUTDOWN_TIMEOUT = 5.0
"""Seconds that handlers past their deadline get when the worker stops."""

UPSTREAM_TIME = 15.0
"""Seconds that another application gets when nobody waits any more: as many as from Twilio (facts 1.4)."""

_WHEN = {ReplyKind.LATE: "after the deadline", ReplyKind.REPLAY: "when it was replayed"}

MOST_LATE = 1000
"""Handlers past their deadline that may go on at once; one more is stopped, and waits in the outbox."""


class LateReply(NamedTuple):
    """A message whose answer is late."""

    key: MessageKey
    message: InboundMessage
    scope: str
    facts: RecipientFacts
    kind: ReplyKind = ReplyKind.LATE
    conversation: Conversation | None = None
    """What the message makes of the person's."""
    began: float | None = None
    """Since when the person waits, by the monotonic clock; None where another worker began."""

    @property
    def entry(self) -> OutboxEntry:
        """What stands for it in the outbox."""
        return OutboxEntry(self.key.reference, self.kind.value, self.scope, self.key.contact)


class LateReplies:
    """The late work of one worker."""

    def __init__(
        self,
        records: Inbox,
        people: Contacts,
        dispatcher: Dispatcher,
        composer: Composer,
        outbox: Outbox,
        guard: LoopGuard,
        error: Reply,
        nudge: Callable[[str], None],
    ) -> None:
        """Take the parts; ``error`` is what people get when a handler fails after the deadline.

        ``nudge`` is told the person when something waits for them.
        """
        self._records = records
        self._people = people
        self._dispatcher = dispatcher
        self._composer = composer
        self._outbox = outbox
        self._guard = guard
        self._error = error
        self._nudge = nudge
        self._tasks: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Let late handlers finish, for a while; what is unfinished then is begun again by another worker."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SHUTDOWN_TIMEOUT)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SHUTDOWN_TIMEOUT)

    def start(self, task: LateReply, found: Resolution, running: asyncio.Task[Reply | ReplyFailed]) -> None:
        """Go on with a handler whose message has got its empty answer."""
        if len(self._tasks) >= MOST_LATE:
            running.cancel()
        late = asyncio.create_task(self._finish(task, found, running), name=f"late {found.rule}")
        self._tasks.add(late)
        late.add_done_callback(self._tasks.discard)

    async def resume(self, entry: OutboxEntry) -> None:
        """Do work of the outbox whose worker was lost.

        Raises:
            StoreUnavailableError: when Redis does not serve; the entry comes back.

        """
        kind = ReplyKind(entry.name)
        conversations = self._dispatcher.conversations
        work = await self._outbox.claim(
            entry, kind, self._records.owner, self._records.lease, in_turn=conversations is not None
        )
        if work is None:
            return
        message = parse_stored_request(work.request)
        assert message is not None, "what was journaled could be read when it came"
        key = MessageKey(entry.reference, entry.person)
        facts = self._people.facts(entry.scope, entry.person, work.known, stored=True)
        found = self._dispatcher.resolve(message).for_person(facts.opted_out)
        if conversations is not None and found.heard is None and not facts.opted_out:
            found = conversations.route(found, message, StoredConversation.read(*work.talk))
        task = LateReply(key, message, entry.scope, facts, kind, found.conversation)
        log.warning("%s is worked on again (attempt %d, %s)", entry.message_sid, work.attempt, found.rule)
        if isinstance(found.action, TemplateResponder):
            await self.answer(task, found, found.action.reply(message))
            return
        until = time.monotonic() + UPSTREAM_TIME
        running = asyncio.create_task(found.action.run(message, until, ()), name=f"handler {found.rule}")
        await self._finish(task, found, running)

    async def _finish(
        self, task: LateReply, found: Resolution, running: asyncio.Task[Reply | ReplyFailed]
    ) -> None:
        """Wait for a handler and put its answer into the outbox; the claim is renewed meanwhile."""
        self._records.keep_renewing(task.key)
        try:
            done, _ = await asyncio.wait({running}, timeout=self._outbox.latest)
            outcome = running.result() if done else None
        except asyncio.CancelledError:
            await _cancelled(running)
            await self._hand_over(task, found)
            return
        finally:
            self._records.stop_renewing(task.key)
        if outcome is None:
            await self._abandon(task, found)
            running.cancel()
            await asyncio.wait({running}, timeout=SHUTDOWN_TIMEOUT)
        else:
            await self.answer(task, found, outcome)

    async def _abandon(self, task: LateReply, found: Resolution) -> None:
        """End work that took so long that its answer may no longer leave."""
        cause = f"{found.rule}: still at work after {self._outbox.latest:g} s, and stopped"
        log.error("%s", cause)
        await self.enqueue(task, RenderedReply(EMPTY, found.rule), "", cause)

    async def _hand_over(self, task: LateReply, found: Resolution) -> None:
        log.warning("%s: stopped before its handler finished; another worker begins it again", found.rule)
        with contextlib.suppress(StoreUnavailableError):  # then its lease runs out by itself
            await self._outbox.release_work(task.entry, self._records.owner)

    async def answer(self, task: LateReply, found: Resolution, outcome: Reply | ReplyFailed) -> None:
        """Put a late answer, or that of a replay, into the outbox."""
        when = _WHEN[task.kind]
        reply, why, cause = outcome, f"{found.rule}, {when}", ""
        if isinstance(reply, ReplyFailed):
            why = f"the error reply, {when}"
            cause = f"{found.rule}: failed {when}: {reply.cause}"
            reply = (
                self._error if task.kind is ReplyKind.LATE else SILENCE
            )  # the person was told once already
        reply_id = f"{task.message.sid}.{task.kind.value}"
        composed = self._composer.compose(task.message, reply, found.rule, task.facts, reply_id)
        if composed.unsendable:
            cause = cause or f"{found.rule}: answered {when}, and no number can carry the reply"
        await self.enqueue(task, composed, why, cause)

    async def enqueue(self, task: LateReply, composed: RenderedReply, why: str, cause: str = "") -> None:
        """Send the messages of a composed answer by REST; with a ``cause`` it is a dead letter too."""
        if task.kind is ReplyKind.LATE:
            composed = await self._apply_loop_guard(task, composed)
        count = len(parse_own(composed.document))
        conversations = self._dispatcher.conversations
        turn = None
        if conversations is not None:
            turn = conversations.update_for(task.scope, task.key.contact, task.conversation)
        await self._outbox.enqueue(
            task.entry, task.kind, composed.document, composed.trail_text, count, why, cause, turn, task.began
        )
        if count:
            self._nudge(task.key.contact)

    async def _apply_loop_guard(self, task: LateReply, composed: RenderedReply) -> RenderedReply:
        """Count a reply, and hold back one too many."""
        meter = self._guard.counter_for(task.scope, task.key.contact, composed.document)
        if meter is None:
            return composed
        excess = await self._records.count_reply(meter)
        if excess is None:
            return composed
        self._guard.log_once(task.key.contact, excess)
        return RenderedReply(EMPTY, f"{composed.trail_text}\n{self._guard.reason}")


async def _cancelled(running: asyncio.Task[Reply | ReplyFailed]) -> None:
    """Cancel a handler and wait until it has ended, even when it refuses to."""
    running.cancel()
    await asyncio.wait({running})
