"""The end of a message: its answer is committed, held back, or gives way to the one that was first."""

from __future__ import annotations

import logging

from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.handler.reply import SILENCE, Reply
from sms_router.routing.inbox.answer import Answer, JournalEntry, Outcome
from sms_router.routing.inbox.inbox import Continuation, ConversationUpdate, Inbox
from sms_router.routing.inbox.loop_guard import LimitExceeded, LoopGuard
from sms_router.routing.pipeline.composed import RenderedReply
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.context import MessageContext
from sms_router.routing.pipeline.late_replies import LateReplies
from sms_router.twilio.twiml import EMPTY

log = logging.getLogger("sms_router.pipeline")


class AnswerCommitter:
    """Commits what was composed; one in each worker."""

    def __init__(
        self,
        records: Inbox,
        dispatcher: Dispatcher,
        composer: Composer,
        later: LateReplies,
        guard: LoopGuard,
        muted: Reply,
    ) -> None:
        """Take the parts; ``muted`` takes the place of the first reply that the loop guard holds back."""
        self._records = records
        self._dispatcher = dispatcher
        self._composer = composer
        self._later = later
        self._guard = guard
        self._muted = muted

    async def commit(
        self,
        job: MessageContext,
        composed: RenderedReply,
        outcome: Outcome,
        cause: str = "",
        going_on: Continuation | None = None,
    ) -> Answer:
        """Store the answer and return it, or the one that was there first.

        With a ``cause`` the message is a dead letter; with ``going_on`` its work is not over.
        """
        if composed.unsendable:
            outcome, cause = Outcome.UNSENDABLE, cause or "no number can carry the reply"
            log.warning("a reply cannot be sent: %s", composed.trail_text.replace("\n", "; "))
        elif outcome is Outcome.REPLY and composed.document is EMPTY:
            outcome = Outcome.SILENT
        ours = Answer(composed.document, outcome)
        story = JournalEntry(composed.trail_text, cause)
        meter = self._guard.counter_for(job.scope, job.key.contact, ours.document) if job.passive else None
        excess = None
        if meter is not None and not job.claim.stored:
            excess, meter = self._guard.count_locally(job.scope, job.key.contact), None
        answer = excess or await self._records.commit(
            job.key, job.delivery.request, job.claim, ours, story, going_on, meter, self._turn(job)
        )
        if isinstance(answer, LimitExceeded):
            return await self._commit_muted(job, answer, composed, cause)
        if answer is not ours and going_on is None:
            await self._deliver_late_or_note(job, answer, composed, outcome, cause)
        return answer

    def _turn(self, job: MessageContext) -> ConversationUpdate | None:
        """Return what the message makes of the person's conversation; None without conversations."""
        conversations = self._dispatcher.conversations
        if conversations is None or not job.claim.stored:
            return None
        return conversations.update_for(job.scope, job.key.contact, job.conversation)

    async def _commit_muted(
        self, job: MessageContext, excess: LimitExceeded, composed: RenderedReply, cause: str
    ) -> Answer:
        """Hold back a reply too many; the person may be told of it once."""
        self._guard.log_once(job.key.contact, excess)
        said = self._muted if excess.excess == 1 else SILENCE
        story = f"{composed.trail_text}\n{self._guard.reason}"
        muted = self._composer.compose(job.delivery.message, said, story, job.facts)
        ours = Answer(muted.document, Outcome.MUTED)
        answer = await self._records.commit(
            job.key,
            job.delivery.request,
            job.claim,
            ours,
            JournalEntry(muted.trail_text, cause),
            update=self._turn(job),
        )
        assert isinstance(answer, Answer), "nothing is counted without a meter"
        return answer

    async def _deliver_late_or_note(
        self, job: MessageContext, answer: Answer, composed: RenderedReply, outcome: Outcome, cause: str
    ) -> None:
        """Somebody else was first: after an empty answer ours leaves by REST, after any other it is noted.

        Not the fallback's: the worker that gave the empty answer still works on the handler's.
        """
        if answer.outcome is Outcome.LATE and outcome is not Outcome.FALLBACK:
            await self._later.enqueue(job.task, composed, "answered after the deadline", cause)
        elif outcome is Outcome.REPLY:
            await self._records.annotate(
                job.key, "adopted", composed.trail_text, "answered after somebody else did, not sent"
            )
