"""What a text, or a replayed message, would be answered. Nothing is sent, and no handler is run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

import redis

from sms_router.routing.contacts.contact import (
    ContactSummary,
    FailoverPreview,
    preview_failover,
    read_contact,
)
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import Resolution, RuleAction
from sms_router.routing.dispatch.responders import ForwardResponder, HandlerResponder, TemplateResponder
from sms_router.routing.handler.conversation import StoredConversation
from sms_router.routing.handler.handler import Handler
from sms_router.routing.handler.reply import Reply
from sms_router.routing.history.replay import ReplayCheck, ReplayStatus
from sms_router.routing.keywords.rule_table import MatchVerdict, RuleCandidate
from sms_router.routing.keywords.rules import MatchKind, Rule
from sms_router.routing.keywords.templates import StaticReply, TemplateError
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.upstream.forward_rule import Forward
from sms_router.senders.error_table import ErrorTable
from sms_router.senders.models import Candidate, CandidateResult, Decision, RecipientFacts, SenderConditions
from sms_router.senders.selection import explain as explain_sender
from sms_router.senders.selection import select
from sms_router.store.keys import bucket_of
from sms_router.twilio.inbound import InboundMessage

_KINDS = list(MatchKind)


@dataclass(frozen=True, slots=True)
class PreviewedAnswer:
    """What a rule answers, as far as it is known without running a handler or calling another application."""

    reply: Reply
    """One that stands for the reply where it is not known."""
    runs: str = ""
    """What would be run or called to get the reply; empty where the reply is known."""
    cause: str = ""
    """Why a template fails; empty where it does not."""

    @property
    def text(self) -> str:
        """The reply in words; empty for silence."""
        if self.cause:
            return f"fails: {self.cause}"
        return self.runs or "\n".join((*self.reply.texts, *self.reply.media_urls))


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that leads to the answer of one text."""

    rule: str
    candidates: Sequence[RuleCandidate[RuleAction]]
    answer: PreviewedAnswer
    decision: Decision | None
    """None when nothing would be sent."""
    contact: ContactSummary
    is_suspected: bool
    """Whether the text is listed for an operator, because it may be meant as an opt-out."""
    failover: FailoverPreview | None
    """What would be sent instead if the short code failed now."""

    @property
    def sender(self) -> str | None:
        return self.decision.address if self.decision else None

    @property
    def trail(self) -> Sequence[Candidate]:
        """Every number with its reason."""
        return self.decision.trail if self.decision else ()

    @property
    def is_answered(self) -> bool:
        """Whether the contact gets what the rule answers."""
        return not self.answer.cause and (self.decision is None or self.sender is not None)


@dataclass(frozen=True, slots=True)
class Preview:
    """The rule that takes a message, and its answer in words."""

    rule: str
    answer: str


def sample_message(
    account_sid: str, service_sid: str | None, sender: str, recipient: str, body: str, country: str | None
) -> InboundMessage:
    """Return a text as it would arrive from Twilio; ``country`` is its FromCountry."""
    return InboundMessage(
        sid="SM" + "0" * 32,
        account_sid=account_sid,
        service_sid=service_sid,
        sender=sender,
        recipient=recipient,
        body=body,
        parameters={"FromCountry": country} if country else {},
    )


def explain(
    message: InboundMessage,
    contact: ContactSummary,
    dispatcher: Dispatcher,
    composer: Composer,
    conditions: SenderConditions,
    conversation: StoredConversation | None = None,
) -> Explanation:
    """Return what would be answered at the moment for which the contact's summary holds.

    ``conversation`` is that of the contact, which may take the text.
    """
    moment, opted_out = contact.at / 1000, contact.facts.opted_out
    resolution = dispatcher.resolve(message, moment).for_contact(opted_out)
    is_suspected = resolution.is_suspected
    if dispatcher.conversations is not None and resolution.opt_out is None and not opted_out:
        resolution = dispatcher.conversations.route(
            resolution, message, conversation, contact.contact.profile
        )
    answer = preview_answer(resolution, message, contact.contact.profile)
    if resolution.opt_out is not None:
        reply = dispatcher.opt_out_reply(resolution.opt_out, message, contact.contact.profile)
        answer = PreviewedAnswer(reply)
    facts = contact.facts if resolution.opt_out is None else replace(contact.facts, opted_out=False)
    pool, request = composer.request(message, answer.reply)
    decision = failover = None
    if not answer.reply.is_silent:
        if (refusal := composer.refusal(message, is_opt_out=resolution.opt_out is not None)) is not None:
            trail = (Candidate(message.recipient, None, CandidateResult.SKIPPED, refusal),)
            decision = Decision(None, None, trail)
        else:
            decision = explain_sender(pool, request, facts, conditions)
            failover = preview_failover(pool, request, facts, conditions, decision)
    candidates = explain_rules(dispatcher, message, resolution, moment, opted_out=opted_out)
    return Explanation(resolution.rule, candidates, answer, decision, contact, is_suspected, failover)


def explain_rules(
    dispatcher: Dispatcher,
    message: InboundMessage,
    resolution: Resolution,
    moment: float,
    *,
    opted_out: bool = False,
) -> tuple[RuleCandidate[RuleAction], ...]:
    """Return the rules that were considered for a message; the one that is chosen answers it.

    An opt-out word, a conversation and an opt-out come before all rules.
    """
    candidates = dispatcher.table.explain(message.body, dispatcher.match_context(message, moment))
    if resolution.opt_out is not None:
        reason = "opt-out words come before rules"
    elif resolution.is_reaction:
        reason = "the text is a reaction"
    elif opted_out:
        reason = "a contact who has opted out gets no reply"
    else:
        reason = f"the contact is in a conversation: {resolution.rule}"
    return tuple(
        replace(candidate, verdict=MatchVerdict.OUTRANKED, reason=reason)
        if candidate.verdict is MatchVerdict.CHOSEN and candidate.rule.name != resolution.rule
        else candidate
        for candidate in candidates
    )


def preview(dispatcher: Dispatcher, message: InboundMessage, moment: float) -> Preview:
    """Return what a contact who has not opted out would get; ``moment`` is in seconds since the epoch."""
    resolution = dispatcher.resolve(message, moment).for_contact(opted_out=False)
    return Preview(resolution.rule, preview_answer(resolution, message).text)


def preview_answer(resolution: Resolution, message: InboundMessage, profile: str = "") -> PreviewedAnswer:
    """Return the answer of a rule to a contact of whom ``profile`` is stored; only a template is rendered."""
    responder = resolution.responder
    if isinstance(responder, TemplateResponder):
        try:
            reply = responder.template.reply(message, responder.argument, responder.keyword, profile)
        except TemplateError as error:
            return PreviewedAnswer(Reply("(the error reply)"), cause=str(error))
        return PreviewedAnswer(reply)
    if isinstance(responder, HandlerResponder):
        argument = f" with {responder.argument!r}" if responder.argument else ""
        return PreviewedAnswer(
            Reply("(unknown)"), runs=f"the function {responder.handler.source} is called{argument}"
        )
    assert isinstance(responder, ForwardResponder), "nobody texts an event"
    return PreviewedAnswer(Reply("(unknown)"), runs=f"forwarded to {responder.forward}")


def by_precedence(rules: Iterable[Rule[RuleAction]]) -> list[Rule[RuleAction]]:
    return sorted(rules, key=lambda rule: _KINDS.index(rule.kind))


def describe_action(action: RuleAction) -> str:
    """Return in a few words what a rule does, for lists of rules."""
    if isinstance(action, Forward):
        return f"forwarded to {action}"
    if isinstance(action, Handler):
        return f"function {action.name}"
    return "text" if isinstance(action, StaticReply) else "template"


class ReplayPreview(NamedTuple):
    """What a message would be answered now."""

    scope: str
    """Where the contact's facts belong."""
    rule: str
    runs: str = ""
    """What would be run or called to get the text; empty where the text is known."""
    texts: tuple[str, ...] = ()
    sender: str | None = None
    """None where nothing would be sent."""
    against: str = ""
    """Why nothing would be sent."""
    forbidden: ReplayCheck | None = None
    """Why a replay is refused."""
    failed_rule: str = ""
    """The rule that has failed, where another one would answer now."""
    is_default: bool = False
    """Whether no rule takes the text now."""

    @property
    def sends_default(self) -> bool:
        """Whether the contact would get the default, although a rule has failed."""
        return bool(self.failed_rule) and self.is_default


def preview_replay(
    message: InboundMessage,
    scope: str,
    facts: RecipientFacts,
    conversation: StoredConversation | None,
    dispatcher: Dispatcher,
    composer: Composer,
    conditions: SenderConditions,
    failed: str | None = None,
) -> ReplayPreview:
    """Return what a replay would send; nothing is run.

    The facts, the conversation and the conditions are those of now: a replayed message may be taken by a step
    that it did not know. ``failed`` is the rule that has failed; None where it is not known.
    """
    if (event := dispatcher.resolve_event(message)) is not None:
        return ReplayPreview(scope, event.rule, runs="the functions with @on are called")
    resolution = dispatcher.resolve(message).for_contact(facts.opted_out)
    rule = resolution.rule
    if resolution.opt_out is not None:
        check = ReplayCheck(ReplayStatus.OPT_OUT_WORD, "it is an opt-out word: see sms-router opt-outs")
        return ReplayPreview(scope, rule, against="it is an opt-out word", forbidden=check)
    if facts.opted_out:
        reason = "the contact has opted out"
        check = ReplayCheck(ReplayStatus.OPTED_OUT, reason)
        return ReplayPreview(scope, rule, against=reason, forbidden=check)
    if dispatcher.conversations is not None:
        resolution = dispatcher.conversations.route(resolution, message, conversation, facts.profile)
        rule = resolution.rule
    other = failed if failed is not None and failed != rule else ""
    preview = ReplayPreview(scope, rule, failed_rule=other, is_default=resolution.is_default)
    answer = preview_answer(resolution, message, facts.profile)
    reply = answer.reply
    silence = "its rule has no reply" if reply.is_silent else composer.refusal(message)
    if against := f"it would fail: {answer.cause}" if answer.cause else silence:
        return preview._replace(against=against)
    decision = select(*composer.request(message, reply), facts, conditions)
    against = "" if decision.address else "no sender can carry it"
    texts = () if answer.runs else (*reply.texts, *reply.media_urls)
    return preview._replace(runs=answer.runs, texts=texts, sender=decision.address, against=against)


def read_stored_contact(
    client: redis.Redis, scope: str, number: str, table: ErrorTable, at: int
) -> tuple[ContactSummary, StoredConversation | None]:
    """Return what is stored of a contact at a time (milliseconds since the epoch), and their conversation."""
    key = bucket_of(number).conversation(scope, number)
    state, until = cast("list[bytes | None]", client.hmget(key, "state", "expires_at"))
    conversation = StoredConversation.parse(state, int(until) - at if until else None)
    return ContactSummary(read_contact(client, scope, number), table, at), conversation
