"""One message from its arrival to its answer (design 2).

Three parties may try to answer: the handler in time, the deadline, Twilio's fallback request. The
record decides which one was first; the others adopt its answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import Resolution
from sms_router.routing.dispatch.responders import TemplateResponder
from sms_router.routing.handler.conversation import EndedConversation
from sms_router.routing.handler.reply import SILENCE, Reply, ReplyFailed
from sms_router.routing.inbox.answer import RELEASED, Answer, JournalEntry, MessageKey, Outcome
from sms_router.routing.inbox.inbox import Claimed, Continuation, Inbox, InProgress
from sms_router.routing.opt_outs.keywords import Intent
from sms_router.routing.pipeline.committer import AnswerCommitter
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.context import InboundRequest, MessageContext
from sms_router.routing.pipeline.late_replies import LateReplies
from sms_router.routing.pipeline.policy import CannedReplies, OnFailure, ReplyPolicy
from sms_router.routing.pipeline.prepare import AnswerPreparer
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.twiml import EMPTY

log = logging.getLogger("sms_router.pipeline")

LOOK_AGAIN = 0.25
"""Seconds after which a waiter looks for itself, in case the announcement of the answer was lost."""


_NOT_OURS = Claimed(0, 0.0, stored=True)
"""Stands for a claim that somebody else holds."""


class Pipeline:
    """Answers messages; one in each worker."""

    def __init__(
        self,
        records: Inbox,
        people: Contacts,
        dispatcher: Dispatcher,
        composer: Composer,
        later: LateReplies,
        foresight: AnswerPreparer,
        closing: AnswerCommitter,
        texts: CannedReplies,
        manners: ReplyPolicy,
    ) -> None:
        """Take the parts; nothing is started."""
        self._records = records
        self._people = people
        self._dispatcher = dispatcher
        self._composer = composer
        self._later = later
        self._foresight = foresight
        self._closing = closing
        self._texts = texts
        self._deadline = manners.deadline
        self._on_failure = manners.on_failure
        self._working: dict[str, asyncio.Future[Answer] | None] = {}
        """What is in work here; a future only where a twin waits."""
        self._running: set[asyncio.Task[Reply | ReplyFailed]] = set()

    async def aclose(self) -> bool:
        """Let handlers past their deadline finish, for a while; then cancel them.

        Returns whether all have ended: a handler may refuse to be cancelled.
        """
        await self._later.aclose()
        return all(running.done() for running in self._running)

    async def answer(self, delivery: InboundRequest) -> Answer:
        """Return the one answer of this message; `Outcome.RELEASED` asks for Twilio's fallback."""
        message = delivery.message
        key = MessageKey(f"{message.account_sid}/{message.sid}", message.sender)
        if (answer := self._records.cached_answer(key)) is not None:
            return answer
        if key.reference in self._working:
            twins = await self._wait_for_duplicate(key, delivery)
            if twins is not None and (twins is not RELEASED or delivery.fallback is None):
                return twins
        self._working.setdefault(key.reference)
        answer = RELEASED
        try:
            answer = await self._process(key, delivery)
        except Exception:
            log.exception("a message could not be handled; the person gets the error reply")
            answer = Answer(self._plain_error(message), Outcome.FAILED)
        finally:
            self._records.stop_renewing(key)
            waited_for = self._working.pop(key.reference, None)
            if waited_for is not None:
                waited_for.set_result(answer)
        return answer

    def _plain_error(self, message: InboundMessage) -> bytes:
        """Write the error reply without asking anybody but this worker's memory."""
        scope = self._people.scope_of(message.service_sid, message.recipient)
        if self._people.is_opted_out_cached(scope, message.sender):
            return EMPTY
        return self._composer.render_plain(self._texts.error)

    async def _wait_for_duplicate(self, key: MessageKey, delivery: InboundRequest) -> Answer | None:
        """Wait for the answer of a delivery that this worker has in work already; None at the deadline."""
        twin = self._working[key.reference]
        if twin is None:
            twin = self._working[key.reference] = asyncio.get_running_loop().create_future()
        await asyncio.wait({twin}, timeout=self._left(delivery))
        return twin.result() if twin.done() else None

    async def _process(self, key: MessageKey, delivery: InboundRequest) -> Answer:
        message = delivery.message
        scope = self._people.scope_of(message.service_sid, message.recipient)
        found = self._dispatcher.resolve(message)
        conversations = self._dispatcher.conversations
        in_turn = conversations is not None and not delivery.fallback and conversations.needs_lock(found)
        foreseen = self._foresight.prepare(key, delivery, scope, found)
        fallback, ready = delivery.fallback is not None, foreseen.ready
        while True:
            opening = await self._records.claim(
                key, delivery.request, fallback, scope, in_turn=in_turn, prepared=ready
            )
            if not isinstance(opening, InProgress) or not await self._wait_for_others(key, delivery, opening):
                break
        if isinstance(opening, Answer):
            if ready is not None and opening is ready.answer:
                self._composer.confirm(message, foreseen.draft)
            return opening
        if isinstance(opening, InProgress):
            facts = self._people.facts(scope, message.sender, opening.contact, stored=True)
            return await self._answer_at_deadline(MessageContext(key, delivery, _NOT_OURS, scope, facts))
        facts = self._people.facts(scope, message.sender, opening.contact, opening.stored)
        job = MessageContext(key, delivery, opening, scope, facts)
        if found.heard is not None or facts.opted_out:
            return await self._handle_opt_out(job, found)
        return await self._handle(job, found, foreseen.said)

    async def _wait_for_others(self, key: MessageKey, delivery: InboundRequest, busy: InProgress) -> bool:
        """Wait while somebody else is at work; return False at this request's own deadline.

        So does a message whose turn has not come: the person's earlier ones are answered first.
        """
        left = self._left(delivery)
        if left > 0:
            first = key if busy.behind is None else key._replace(reference=busy.behind)
            await self._records.wait_until_answered(first, min(busy.remaining + 0.01, LOOK_AGAIN, left))
        return left > 0

    async def _handle_opt_out(self, job: MessageContext, found: Resolution) -> Answer:
        """Take note of an opt-out word, and answer it, even to somebody on the list; nothing else is."""
        reference, person = job.key
        heard, opted_out = found.heard, job.facts.opted_out
        if heard is not None and heard.intent is Intent.STOP:
            await self._people.opt_out(job.scope, person, heard.word.upper(), reference)
            job = job._replace(conversation=EndedConversation(for_all=True))
        elif heard is not None and heard.intent is Intent.START and (heard.unconditional or opted_out):
            await self._people.opt_in(job.scope, person, heard.word.upper(), reference)
        found = found.for_person(opted_out)
        if heard is None:
            return await self._reply(job, found.rule, SILENCE)
        if found.heard is None:
            return await self._handle(job, found)
        heeded = job._replace(facts=replace(job.facts, opted_out=False), passive=False)
        return await self._reply(heeded, found.rule, found.heard.reply)

    async def _reply(self, job: MessageContext, rule: str, reply: Reply) -> Answer:
        composed = self._composer.compose(job.delivery.message, reply, rule, job.facts)
        return await self._closing.commit(job, composed, Outcome.REPLY)

    async def _handle(
        self, job: MessageContext, found: Resolution, said: Reply | ReplyFailed | None = None
    ) -> Answer:
        """Answer an ordinary text; ``said`` is the reply where it is there already."""
        if (conversations := self._dispatcher.conversations) is not None and not job.delivery.fallback:
            if job.claim.stored:
                found = conversations.route(found, job.delivery.message, job.claim.conversation)
            else:
                found = conversations.without_redis(found)
            job = job._replace(conversation=found.conversation)
        return await (self._fall_back(job) if job.delivery.fallback else self._dispatch(job, found, said))

    async def _dispatch(
        self, job: MessageContext, found: Resolution, said: Reply | ReplyFailed | None
    ) -> Answer:
        message = job.delivery.message
        if isinstance(found.action, TemplateResponder):
            outcome = said if said is not None else found.action.reply(message)
        else:
            until, headers = job.delivery.arrived + self._deadline, job.delivery.headers
            running = asyncio.create_task(
                found.action.run(message, until, headers), name=f"handler {found.rule}"
            )
            self._running.add(running)
            running.add_done_callback(self._running.discard)
            done = await self._watch(running, self._left(job.delivery))
            if not done:
                return await self._defer(job, found, running)
            outcome = running.result()
        if isinstance(outcome, ReplyFailed):
            return await self._fail(job, found, outcome)
        if outcome.then is not None and not job.claim.stored and self._dispatcher.conversations is not None:
            outcome = self._dispatcher.conversations.try_again  # nobody would remember what was asked
        return await self._reply(job, found.rule, outcome)

    async def _watch(self, running: asyncio.Task[Reply | ReplyFailed], seconds: float) -> bool:
        """Wait for a handler and tell whether it is done; a stop of the worker stops it too."""
        try:
            done, _ = await asyncio.wait({running}, timeout=seconds)
        except asyncio.CancelledError:
            running.cancel()
            raise
        return bool(done)

    async def _defer(
        self, job: MessageContext, found: Resolution, running: asyncio.Task[Reply | ReplyFailed]
    ) -> Answer:
        """Commit the empty answer now; the handler goes on."""
        task = job.task
        silence = self._composer.compose(job.delivery.message, SILENCE, found.rule)
        going_on = Continuation(task.entry.line, is_ours=True)
        answer = await self._closing.commit(job, silence, Outcome.LATE, going_on=going_on)
        if answer.outcome is Outcome.LATE:
            self._later.start(task, found, running)
        else:
            running.cancel()
        return answer

    async def _fail(self, job: MessageContext, found: Resolution, failed: ReplyFailed) -> Answer:
        cause = f"{found.rule}: {failed.cause}"
        composed = self._composer.compose(job.delivery.message, self._texts.error, found.rule, job.facts)
        if self._on_failure is OnFailure.TWILIO_FALLBACK:
            await self._records.release(
                job.key, job.delivery.request, job.claim, JournalEntry(composed.trail_text, cause)
            )
            return RELEASED
        return await self._closing.commit(job, composed, Outcome.FAILED, cause)

    async def _fall_back(self, job: MessageContext) -> Answer:
        why = job.delivery.fallback
        assert why is not None
        cause = f"Twilio called the fallback: {why.error_code or 'no code'} for {why.error_url or 'no URL'}"
        composed = self._composer.compose(
            job.delivery.message, self._texts.fallback, "fallback_reply", job.facts
        )
        return await self._closing.commit(job, composed, Outcome.FALLBACK, cause)

    async def _answer_at_deadline(self, job: MessageContext) -> Answer:
        """Answer for somebody who is at work still, since this request can wait no longer."""
        ordinary = self._dispatcher.resolve(job.delivery.message).heard is None
        if job.delivery.fallback is not None and ordinary:
            return await self._fall_back(job)
        silence = self._composer.compose(job.delivery.message, SILENCE, "deadline")
        going_on = Continuation(job.task.entry.line, is_ours=False) if ordinary else None
        return await self._closing.commit(job, silence, Outcome.LATE, going_on=going_on)

    def _left(self, delivery: InboundRequest) -> float:
        """Seconds until this request's deadline, 0 when it has passed."""
        return max(0.0, delivery.arrived + self._deadline - time.monotonic())
