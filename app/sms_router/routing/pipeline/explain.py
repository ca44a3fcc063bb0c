"""What a text would be answered: its rule, its reply and its sender. Nothing is sent, no handler is run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sms_router.routing.contacts.summary import ContactSummary, FailoverPreview, preview_failover
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import Resolution, RuleAction
from sms_router.routing.dispatch.responders import ForwardResponder, HandlerResponder, TemplateResponder
from sms_router.routing.handler.conversation import StoredConversation
from sms_router.routing.handler.handler import Handler
from sms_router.routing.handler.reply import Reply
from sms_router.routing.keywords.rule_table import MatchVerdict, RuleCandidate
from sms_router.routing.keywords.rules import MatchKind, Rule
from sms_router.routing.keywords.templates import StaticReply, TemplateError
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.upstream.forward_rule import Forward
from sms_router.senders.models import Candidate, CandidateResult, Decision, SenderConditions
from sms_router.senders.selection import explain as explain_sender
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
