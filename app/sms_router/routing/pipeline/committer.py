"""Commits the answer of a message, holds it back for the loop guard, or yields to an earlier answer."""

from __future__ import annotations

import logging

from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.handler.reply import SILENCE, Reply
from sms_router.routing.inbox.answer import Answer, JournalEntry, Outcome
from sms_router.routing.inbox.inbox import Continuation, ConversationUpdate, Inbox, NotCounted
from sms_router.routing.inbox.loop_guard import LimitExceeded, LoopGuard, ReplyCounter
from sms_router.routing.pipeline.composer import Composer, RenderedReply
from sms_router.routing.pipeline.context import MessageContext
from sms_router.routing.pipeline.late_replies import LateReplies
from sms_router.twilio.twiml import EMPTY

log = logging.getLogger("sms_router.pipeline")


class AnswerCommitter:
    """Commits composed answers; one in each worker.

    Args:
        muted_reply: takes the place of the first reply to a contact that the loop guard holds back.

    """

    def __init__(
        self,
        inbox: Inbox,
        dispatcher: Dispatcher,
        composer: Composer,
        late_replies: LateReplies,
        guard: LoopGuard,
        muted_reply: Reply,
    ) -> None:
        self._inbox = inbox
        self._dispatcher = dispatcher
        self._composer = composer
        self._late_replies = late_replies
        self._guard = guard
        self._muted_reply = muted_reply

    async def commit(
        self,
        context: MessageContext,
        rendered: RenderedReply,
        outcome: Outcome,
        cause: str = "",
        continuation: Continuation | None = None,
    ) -> Answer:
        """Store an answer and return it, or the one that was stored first.

        Args:
            context: of the message.
            rendered: the answer.
            outcome: how the message was answered, if it can be sent.
            cause: makes the message a dead letter.
            continuation: work that goes on after the answer.

        """
        if rendered.unsendable:
            outcome, cause = Outcome.UNSENDABLE, cause or "no sender can carry the reply"
            log.warning("a reply cannot be sent: %s", rendered.trail_text.replace("\n", "; "))
        elif outcome is Outcome.REPLY and rendered.document is EMPTY:
            outcome = Outcome.SILENT
        own = Answer(rendered.document, outcome)
        counter = None
        if context.is_guarded:
            body = context.request.message.body
            counter = self._guard.counter_for(
                context.scope, context.key.contact, body, own.document, context.weight
            )
        answer: Answer | LimitExceeded | None = None
        if counter is not None:
            answer = self._guard.count(counter, context.request.arrived, is_stored=context.claim.stored)
            if answer is not None and answer.is_first and context.claim.stored:
                # Redis decides which reply of all workers is the first above the limit.
                answer, counter = None, counter._replace(max_replies=b"0")
        entry = JournalEntry(rendered.trail_text, cause)
        while answer is None:
            update = self._conversation_update(context)
            committed = await self._inbox.commit(
                context.key, context.request.raw, context.claim, own, entry, continuation, counter, update
            )
            if isinstance(committed, NotCounted):
                assert counter is not None
                context = context._replace(claim=context.claim._replace(stored=False))
                answer = self._guard.exceeds_share(counter)
            else:
                answer = committed
        if isinstance(answer, LimitExceeded):
            assert counter is not None
            return await self._commit_muted(context, answer, counter, rendered, cause)
        if answer is not own and continuation is None:
            await self._deliver_late_or_note(context, answer, rendered, outcome, cause)
        return answer

    def _conversation_update(self, context: MessageContext) -> ConversationUpdate | None:
        conversations = self._dispatcher.conversations
        if conversations is None or not context.claim.stored:
            return None
        return conversations.update_for(context.scope, context.key.contact, context.conversation)

    async def _commit_muted(
        self,
        context: MessageContext,
        exceeded: LimitExceeded,
        counter: ReplyCounter,
        rendered: RenderedReply,
        cause: str,
    ) -> Answer:
        """Commit the muted reply, once, or an empty answer; the quiet gap begins anew with either."""
        self._guard.mark_exceeded(counter, context.request.arrived)
        self._guard.log_once(context.key.contact, exceeded)
        message, reply = context.request.message, SILENCE
        if exceeded.is_first:
            reply = self._dispatcher.replies.choose(
                "muted_reply", self._muted_reply, message, context.facts.profile
            )
        rule = f"{rendered.trail_text}\n{self._guard.reason}"
        muted = self._composer.compose(message, reply, rule, context.facts)
        answer = await self._inbox.commit(
            context.key,
            context.request.raw,
            context.claim,
            Answer(muted.document, Outcome.MUTED),
            JournalEntry(muted.trail_text, cause),
            counter=counter._replace(max_replies=b"0"),
            update=self._conversation_update(context),
        )
        assert isinstance(answer, Answer), "a muted answer exceeds no limit"
        return answer

    async def _deliver_late_or_note(
        self, context: MessageContext, answer: Answer, rendered: RenderedReply, outcome: Outcome, cause: str
    ) -> None:
        """Send our reply by REST where the earlier answer is the empty one of a deadline, else journal it.

        The same where it is the fallback reply, which announces another one. The fallback reply
        itself is not sent: the worker that gave the empty answer still runs the handler.
        """
        if answer.outcome in (Outcome.LATE, Outcome.FALLBACK) and outcome is not Outcome.FALLBACK:
            await self._late_replies.enqueue(
                context.late_reply, rendered, "answered after the deadline", cause
            )
        elif outcome is Outcome.REPLY:
            await self._inbox.annotate(
                context.key, "adopted", rendered.trail_text, "answered after another request, not sent"
            )
