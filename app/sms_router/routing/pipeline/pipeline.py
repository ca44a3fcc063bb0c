"""Answers one message: claims it, finds what responds, composes the reply and commits the answer.

Three parties may answer a message: its handler in time, the empty answer at the deadline, and Twilio's
fallback request. The inbox decides which one was first; the others return that answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import replace

from sms_router.privacy import mask_numbers
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import Resolution
from sms_router.routing.dispatch.responders import TemplateResponder
from sms_router.routing.handler.conversation import EndedConversation
from sms_router.routing.handler.reply import SILENCE, Reply, ReplyFailed
from sms_router.routing.inbox.answer import RELEASED, Answer, JournalEntry, MessageKey, Outcome
from sms_router.routing.inbox.inbox import (
    STORE_BUDGET,
    Claimed,
    ClaimResult,
    Continuation,
    Inbox,
    InProgress,
    PreparedAnswer,
)
from sms_router.routing.inbox.loop_guard import REPEAT_WEIGHT, LoopGuard
from sms_router.routing.keywords.templates import TemplateError
from sms_router.routing.opt_outs.evidence import Event, Evidence, How
from sms_router.routing.opt_outs.keywords import Intent
from sms_router.routing.pipeline.committer import AnswerCommitter
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.context import InboundRequest, MessageContext, ReplyPolicy
from sms_router.routing.pipeline.late_replies import LateReplies
from sms_router.twilio.inbound import InboundMessage, parse_stored_request
from sms_router.twilio.twiml import EMPTY

log = logging.getLogger("sms_router.pipeline")

ABANDONED = "abandoned"
"""What is stored in place of a rule where the message is answered after its worker was lost."""

MAX_WAIT = 0.25
"""Seconds after which a waiting request claims again, in case the notification of the answer was lost."""


class Pipeline:
    """Answers messages; one in each worker."""

    def __init__(
        self,
        inbox: Inbox,
        contacts: Contacts,
        dispatcher: Dispatcher,
        composer: Composer,
        committer: AnswerCommitter,
        late_replies: LateReplies,
        guard: LoopGuard,
        policy: ReplyPolicy,
    ) -> None:
        self._inbox = inbox
        self._contacts = contacts
        self._dispatcher = dispatcher
        self._composer = composer
        self._committer = committer
        self._late_replies = late_replies
        self._guard = guard
        self._policy = policy
        self._in_progress: dict[str, asyncio.Future[Answer | None] | None] = {}
        """The messages that this worker is answering; a future only where a duplicate request waits."""
        self._consents: set[asyncio.Task[None]] = set()
        self._handlers: set[asyncio.Task[Reply | ReplyFailed]] = set()

    async def aclose(self) -> bool:
        """Wait for handlers after their deadline, then cancel them; False where one refuses to end."""
        await asyncio.gather(*self._consents, return_exceptions=True)
        await self._late_replies.aclose()
        return all(handler.done() for handler in self._handlers)

    async def answer(self, request: InboundRequest) -> Answer:
        """Return the one answer of a message; `Outcome.RELEASED` leads to Twilio's fallback request."""
        message = request.message
        key = MessageKey(f"{message.account_sid}/{message.sid}", message.contact)
        answer = self._inbox.cached_answer(key)
        if answer is not None:
            return answer
        if key.reference in self._in_progress:
            answer = await self._wait_for_duplicate(key, request)
            if answer is not None and (answer is not RELEASED or request.fallback is None):
                return answer
        is_first = key.reference not in self._in_progress
        if is_first:
            self._in_progress[key.reference] = None
        answer = None
        try:
            answer = await self._process(key, request)
        except Exception:
            log.exception("a message could not be handled; the contact gets the error reply")
            answer = Answer(self._plain_error(message), Outcome.FAILED)
        finally:
            waiting = self._in_progress.pop(key.reference) if is_first else None
            if waiting is not None:
                waiting.set_result(answer)
        return answer

    async def resume(self, raw: bytes) -> None:
        """Answer a message whose worker was lost and for which Twilio sends no further request.

        Args:
            raw: its parameters, as they are stored.

        """
        message = parse_stored_request(raw)
        assert message is not None, "a journaled request was valid when it arrived"
        log.warning("%s is handled again: the worker that claimed it was lost", message.sid)
        await self.answer(InboundRequest(message, raw, None, time.monotonic(), is_abandoned=True))

    def _plain_error(self, message: InboundMessage) -> bytes:
        """Render the error reply from this worker's memory alone."""
        scope = self._contacts.scope_of(message.service_sid, message.recipient, message.account_sid)
        if self._contacts.is_opted_out_cached(scope, message.contact) or self._composer.refusal(message):
            return EMPTY
        reply = self._dispatcher.replies.choose("error_reply", self._policy.error_reply, message)
        return self._composer.render_plain(reply)

    async def _wait_for_duplicate(self, key: MessageKey, request: InboundRequest) -> Answer | None:
        """Wait for another request of this worker about the same message.

        Returns None at the deadline, and where the other request is cancelled.
        """
        other = self._in_progress[key.reference]
        if other is None:
            other = self._in_progress[key.reference] = asyncio.get_running_loop().create_future()
        await asyncio.wait({other}, timeout=self._time_left(request))
        return other.result() if other.done() else None

    async def _process(self, key: MessageKey, request: InboundRequest) -> Answer:
        message = request.message
        scope = self._contacts.scope_of(message.service_sid, message.recipient, message.account_sid)
        resolution = self._dispatcher.resolve(message)
        prepared = self._prepare(key, request, scope, resolution)
        claim = await self._claim(key, request, scope, resolution, prepared)
        if isinstance(claim, Answer):
            if prepared is not None and claim is prepared.answer:
                if prepared.counter is not None:
                    self._guard.count(prepared.counter, request.arrived)
                if prepared.decision is not None:
                    self._composer.confirm(message, prepared.decision)
            return claim
        facts = self._contacts.facts(scope, key.contact, claim.contact, claim.stored)
        if facts.opted_out:
            facts = await self._contacts.prove(facts, scope, key.contact)
        if isinstance(claim, InProgress):
            context = MessageContext(key, request, Claimed(0, 0.0, claim.stored), scope, facts)
            return await self._answer_at_deadline(context)
        context = MessageContext(key, request, claim, scope, facts)
        try:
            if resolution.opt_out is not None or facts.opted_out:
                return await self._handle_opt_out(context, resolution)
            if resolution.is_suspected and self._composer.refusal(message, is_opt_out=True) is None:
                await self._contacts.suspect(scope, key.contact, key.reference)
            if resolution.is_reaction and request.fallback is None:
                await self._contacts.raise_event(
                    "reaction", scope, key.contact, message.sid, claim.arrived, account=message.account_sid,
                    to=message.recipient, text=message.body, About=message.sid,
                )  # fmt: skip
            return await self._respond(context, resolution)
        finally:
            self._inbox.let_go(claim)

    def _prepare(
        self, key: MessageKey, request: InboundRequest, scope: str, resolution: Resolution
    ) -> PreparedAnswer | None:
        """Compose the answer before the message is claimed, where a template gives it; else None.

        Redis has nothing of most contacts. Their messages are then claimed and answered in one step, which
        saves a round trip, and no crash can come in between.
        """
        responder = resolution.responder
        if (
            not isinstance(responder, TemplateResponder)
            or resolution.opt_out is not None
            or resolution.is_suspected
            or request.fallback is not None
            or request.is_abandoned
            or self._dispatcher.conversations is not None
            or self._dispatcher.wraps_all
            or self._contacts.is_opted_out_cached(scope, key.contact)
            or (resolution.is_reaction and "reaction" in self._dispatcher.events)
        ):
            return None
        try:
            reply = responder.template.reply(request.message, responder.argument, responder.keyword)
            if reply.parts:
                return None
            draft = self._composer.compose_draft(request.message, reply, resolution.rule)
        except TemplateError:
            return None  # reported once the message is claimed
        except Exception:
            log.exception("an answer could not be prepared; it is composed once its message is claimed")
            return None
        guard, weight = self._guard, REPEAT_WEIGHT if resolution.is_default else 1
        counter = guard.counter_for(scope, key.contact, request.message.body, draft.document, weight)
        is_suspect = counter is not None and counter.key in guard.counts and guard.may_exceed(counter)
        if draft.unsendable or draft.is_limited or is_suspect:
            return None
        outcome = Outcome.SILENT if draft.document is EMPTY else Outcome.REPLY
        is_choice = draft.decision is not None and draft.decision.per_recipient
        decision = draft.decision if is_choice else None
        return PreparedAnswer(Answer(draft.document, outcome), draft.trail_text, counter, decision)

    async def _claim(
        self,
        key: MessageKey,
        request: InboundRequest,
        scope: str,
        resolution: Resolution,
        prepared: PreparedAnswer | None,
    ) -> ClaimResult:
        """Claim the message; wait while another worker answers it, or an earlier one of the contact."""
        fallback = request.fallback is not None
        conversations = self._dispatcher.conversations
        responds = not fallback and not request.is_abandoned  # else a handler runs from the outbox
        in_turn = conversations is not None and responds and conversations.needs_lock(resolution)
        while True:
            claim = await self._inbox.claim(
                key,
                request.raw,
                fallback,
                scope,
                in_turn=in_turn,
                prepared=prepared,
                waiting_since=request.arrived,
            )
            if not isinstance(claim, InProgress) or (left := self._time_left(request)) <= 0:
                return claim
            first = key if claim.behind is None else key._replace(reference=claim.behind)
            await self._inbox.wait_until_answered(first, min(claim.remaining + 0.01, MAX_WAIT, left))

    async def _handle_opt_out(self, context: MessageContext, resolution: Resolution) -> Answer:
        """Record an opt-out keyword and answer it, also to a contact who has opted out; nothing else is.

        The record and the answer are on their way to Redis together. A slow Redis delays the answer by the
        rest of the message's budget at most; the record goes on.
        """
        (reference, contact), arrived = context.key, context.claim.arrived
        ends = time.monotonic() + STORE_BUDGET - context.claim.spent
        match, opted_out, contacts = resolution.opt_out, context.facts.opted_out, self._contacts
        message, resolved = context.request.message, resolution.for_contact(opted_out)
        texted, reply = (message.sid, message.recipient, message.body), SILENCE
        # Twilio may have replied to what it takes for an opt-out itself.
        if resolved.opt_out is not None and not context.request.is_abandoned:
            reply = self._dispatcher.opt_out_reply(resolved.opt_out, message, context.facts.profile)
        if match is None and resolution.opts_in:
            evidence = Evidence(Event.START, How.KEYWORD, resolution.rule, *texted)
            await contacts.change_consent(context.scope, contact, evidence, reference, arrived)
            context = context._replace(facts=replace(context.facts, opted_out=False))
            return await self._respond(context, resolution)
        record: asyncio.Task[None] | None = None
        is_stop = match is not None and match.intent is Intent.STOP
        if match is None:
            evidence = Evidence(Event.REFUSED, resolved.rule, "", message.sid, message.recipient)
            record = await self._start_record(contacts.record_refusal(context.scope, contact, evidence))
        elif is_stop or (match.intent is Intent.START and (match.unconditional or opted_out)):
            event = Event.STOP if is_stop else Event.START
            how = How.TWILIO if message.opt_out_type is not None else How.KEYWORD
            evidence = Evidence(event, how, match.word.upper(), *texted, "\n".join(reply.texts))
            record = await self._start_record(
                contacts.change_consent(context.scope, contact, evidence, reference, arrived)
            )
        if match is not None and resolved.opt_out is None:
            return await self._respond(context, resolved)
        if resolved.opt_out is not None:
            facts = replace(context.facts, opted_out=False)
            context = context._replace(facts=facts, is_guarded=False)
        if is_stop:
            context = context._replace(conversation=EndedConversation(for_all=True))
        answer = await self._reply(context, resolved.rule, reply)
        if record is not None:
            await asyncio.wait({record}, timeout=max(0.0, ends - time.monotonic()))
        return answer

    async def _start_record(self, change: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Send a STOP or START, or evidence, to Redis, before whatever follows."""
        task = asyncio.create_task(change, name="consent")
        self._consents.add(task)
        task.add_done_callback(self._consents.discard)
        await asyncio.sleep(0)
        return task

    async def _respond(self, context: MessageContext, resolution: Resolution) -> Answer:
        """Answer with what the template, the handler or the other application returns."""
        request, claim, conversations = context.request, context.claim, self._dispatcher.conversations
        if request.is_abandoned:
            return await self._answer_later(context, ABANDONED)
        if request.fallback is not None:
            return await self._answer_fallback(context)
        if conversations is not None:
            if claim.stored:
                resolution = conversations.route(
                    resolution, request.message, claim.conversation, context.facts.profile
                )
            else:
                resolution = conversations.without_redis(resolution)
            context = context._replace(conversation=resolution.conversation)
        responder = self._dispatcher.wrapped(resolution, request.message, context.facts.profile)
        if isinstance(responder, TemplateResponder):
            if resolution.is_default:
                context = context._replace(weight=REPEAT_WEIGHT)
            reply = responder.reply(request.message, context.facts.profile)
        else:
            until = request.arrived + self._policy.inline_deadline
            handler = asyncio.create_task(
                responder.run(request.message, until, request.headers), name=f"handler {resolution.rule}"
            )
            self._handlers.add(handler)
            handler.add_done_callback(self._handlers.discard)
            try:
                await asyncio.wait({handler}, timeout=self._time_left(request))
            except asyncio.CancelledError:  # the worker stops
                handler.cancel()
                raise
            if not handler.done():
                return await self._defer(context, resolution, handler)
            reply = handler.result()
        if isinstance(reply, ReplyFailed):
            return await self._fail(context, resolution, reply)
        if reply.then is not None and not claim.stored and conversations is not None:
            reply = conversations.try_again(request.message, context.facts.profile)  # the step is not stored
        return await self._reply(context, resolution.rule, reply)

    async def _reply(self, context: MessageContext, rule: str, reply: Reply) -> Answer:
        is_opt_out = not context.is_guarded
        message, facts = context.request.message, context.facts
        rendered = self._composer.compose(message, reply, rule, facts, is_opt_out=is_opt_out)
        return await self._committer.commit(context, rendered, Outcome.REPLY)

    async def _defer(
        self, context: MessageContext, resolution: Resolution, handler: asyncio.Task[Reply | ReplyFailed]
    ) -> Answer:
        """Commit the empty answer now, and let the handler continue."""
        late = context.late_reply
        rendered = self._composer.compose(context.request.message, SILENCE, resolution.rule)
        continuation = Continuation(late.entry.line, is_ours=True)
        answer = await self._committer.commit(context, rendered, Outcome.LATE, continuation=continuation)
        if answer.outcome is Outcome.LATE:
            self._late_replies.start(late, resolution, handler)
        else:
            handler.cancel()
        return answer

    async def _fail(self, context: MessageContext, resolution: Resolution, failed: ReplyFailed) -> Answer:
        request, cause = context.request, f"{resolution.rule}: {failed.cause}"
        rendered = self._composer.compose(
            request.message,
            self._own(context, "error_reply", self._policy.error_reply),
            resolution.rule,
            context.facts,
        )
        if self._policy.uses_twilio_fallback:
            entry = JournalEntry(rendered.trail_text, cause)
            await self._inbox.release(context.key, request.raw, context.claim, entry)
            return RELEASED
        return await self._committer.commit(context, rendered, Outcome.FAILED, cause)

    def _own(self, context: MessageContext, name: str, default: Reply) -> Reply:
        """Return one of the router's own replies in the words for this contact."""
        return self._dispatcher.replies.choose(name, default, context.request.message, context.facts.profile)

    async def _answer_fallback(self, context: MessageContext) -> Answer:
        """Answer with the fallback reply; the outbox handles the message, unless its handler has failed."""
        error = context.request.fallback
        assert error is not None
        code, url = error.error_code or "no code", error.error_url or "no URL"
        name = "fallback_reply"
        reply = self._own(context, name, self._policy.fallback_reply)
        rendered = self._composer.compose(context.request.message, reply, name, context.facts)
        cause = f"Twilio called the fallback: {code} for {mask_numbers(url)}"
        rendered = rendered._replace(trail_text=f"{rendered.trail_text}\n{cause}")
        work = None
        if not self._inbox.is_released(context.key):  # its worker was lost, or none has received it
            work = Continuation(context.late_reply.entry.line, is_ours=False)
        return await self._committer.commit(context, rendered, Outcome.FALLBACK, cause, work)

    async def _answer_at_deadline(self, context: MessageContext) -> Answer:
        """Answer a message that another worker has claimed, because this request can wait no longer."""
        message = context.request.message
        is_opt_out = self._dispatcher.resolve(message).opt_out is not None
        if context.request.fallback is not None and not is_opt_out:
            return await self._answer_fallback(context)
        return await self._answer_later(context, "deadline", runs=not is_opt_out)

    async def _answer_later(self, context: MessageContext, rule: str, *, runs: bool = True) -> Answer:
        """Commit an empty answer; with ``runs`` the outbox handles the message."""
        rendered = self._composer.compose(context.request.message, SILENCE, rule)
        continuation = Continuation(context.late_reply.entry.line, is_ours=False) if runs else None
        return await self._committer.commit(context, rendered, Outcome.LATE, continuation=continuation)

    def _time_left(self, request: InboundRequest) -> float:
        """Seconds until the request's deadline; 0 where it has passed."""
        return max(0.0, request.arrived + self._policy.inline_deadline - time.monotonic())
