"""The end of a message: its answer is committed, held back, or gives way to the one that was first."""

from __future__ import annotations

import logging

from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.handler.reply import SILENCE, Reply
from sms_router.routing.inbox.answer import Answer, Outcome, Story
from sms_router.routing.inbox.commit import GoingOn, Turn
from sms_router.routing.inbox.inbox import Records
from sms_router.routing.inbox.loop_guard import Excess, LoopGuard
from sms_router.routing.pipeline.composed import Composed
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.context import Job
from sms_router.routing.pipeline.late_replies import Later
from sms_router.twilio.twiml import EMPTY

log = logging.getLogger("sms_router.pipeline")


class Closing:
    """Commits what was composed; one in each worker."""

    def __init__(
        self,
        records: Records,
        dispatcher: Dispatcher,
        composer: Composer,
        later: Later,
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
        job: Job,
        composed: Composed,
        outcome: Outcome,
        cause: str = "",
        going_on: GoingOn | None = None,
    ) -> Answer:
        """Store the answer and return it, or the one that was there first.

        With a ``cause`` the message is a dead letter; with ``going_on`` its work is not over.
        """
        if composed.unsendable:
            outcome, cause = Outcome.UNSENDABLE, cause or "no number can carry the reply"
            log.warning("a reply cannot be sent: %s", composed.story.replace("\n", "; "))
        elif outcome is Outcome.REPLY and composed.document is EMPTY:
            outcome = Outcome.SILENT
        ours = Answer(composed.document, outcome)
        story = Story(composed.story, cause)
        meter = self._guard.meter_of(job.scope, job.key.person, ours) if job.passive else None
        excess = None
        if meter is not None and not job.claim.stored:
            excess, meter = self._guard.count_alone(job.scope, job.key.person), None
        answer = excess or await self._records.commit(
            job.key, job.delivery.request, job.claim, ours, story, going_on, meter, self._turn(job)
        )
        if isinstance(answer, Excess):
            return await self._mute(job, answer, composed, cause)
        if answer is not ours and going_on is None:
            await self._adopt(job, answer, composed, outcome, cause)
        return answer

    def _turn(self, job: Job) -> Turn | None:
        """Return what the message makes of the person's conversation; None without conversations."""
        conversations = self._dispatcher.conversations
        if conversations is None or not job.claim.stored:
            return None
        return conversations.turn(job.scope, job.key.person, job.conversation)

    async def _mute(self, job: Job, excess: Excess, composed: Composed, cause: str) -> Answer:
        """Hold back a reply too many; the person may be told of it once."""
        self._guard.tell(job.key.person, excess)
        said = self._muted if excess.over == 1 else SILENCE
        story = f"{composed.story}\n{self._guard.verdict}"
        muted = self._composer.compose(job.delivery.message, said, story, job.facts)
        ours = Answer(muted.document, Outcome.MUTED)
        answer = await self._records.commit(
            job.key, job.delivery.request, job.claim, ours, Story(muted.story, cause), turn=self._turn(job)
        )
        assert isinstance(answer, Answer), "nothing is counted without a meter"
        return answer

    async def _adopt(
        self, job: Job, answer: Answer, composed: Composed, outcome: Outcome, cause: str
    ) -> None:
        """Somebody else was first: after an empty answer ours leaves by REST, after any other it is noted.

        Not the fallback's: the worker that gave the empty answer still works on the handler's.
        """
        if answer.outcome is Outcome.LATE and outcome is not Outcome.FALLBACK:
            await self._later.put(job.task, composed, "answered after the deadline", cause)
        elif outcome is Outcome.REPLY:
            await self._records.note(
                job.key, "adopted", composed.story, "answered after somebody else did, not sent"
            )
