"""Which rule a text would get and which number would answer it, with every reason; nothing is sent or run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sms_router.routing.contacts.summary import ContactSummary, FailoverPreview, preview_failover
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import Resolution, RuleAnswer
from sms_router.routing.dispatch.responders import ForwardResponder, TemplateResponder
from sms_router.routing.handler.reply import Reply, ReplyFailed
from sms_router.routing.keywords.rule_table import RuleCandidate
from sms_router.routing.pipeline.composer import Composer
from sms_router.senders.conditions import SenderConditions
from sms_router.senders.decision import Candidate, Decision
from sms_router.senders.selection import explain as explain_sender
from sms_router.twilio.inbound import InboundMessage


@dataclass(frozen=True, slots=True)
class PreviewedAnswer:
    """What the rule answers, as far as it is known."""

    reply: Reply
    words: str
    """The answer as it is told to people."""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is to be told about one text."""

    rule: str
    rules: Sequence[RuleCandidate[RuleAnswer]]
    answer: PreviewedAnswer
    decision: Decision | None
    """None when the answer says nothing."""
    known: ContactSummary
    failing: FailoverPreview | None
    """What would come of it if the short code failed now."""

    @property
    def sender(self) -> str | None:
        """The number that the answer leaves from."""
        return self.decision.address if self.decision else None

    @property
    def trail(self) -> Sequence[Candidate]:
        """Every number with its reason."""
        return self.decision.trail if self.decision else ()

    @property
    def good(self) -> bool:
        """Whether the person gets what the rule answers."""
        return not self.answer.failed and (self.decision is None or self.sender is not None)


def sample(
    account_sid: str, service_sid: str | None, sender: str, recipient: str, words: str, country: str | None
) -> InboundMessage:
    """Return a text as it would arrive."""
    return InboundMessage(
        sid="SM" + "0" * 32,
        account_sid=account_sid,
        service_sid=service_sid,
        sender=sender,
        recipient=recipient,
        body=words,
        parameters={"FromCountry": country} if country else {},
    )


def explain(
    message: InboundMessage,
    known: ContactSummary,
    dispatcher: Dispatcher,
    composer: Composer,
    conditions: SenderConditions,
) -> Explanation:
    """Say what would become of a text at the moment at which its sender is ``known``."""
    moment = known.moment / 1000
    found = dispatcher.resolve(message, moment).for_person(known.facts.opted_out)
    answer = _answer(found, message)
    facts = known.facts if found.heard is None else replace(known.facts, opted_out=False)
    asked = composer.request(message, answer.reply)
    decision = None if answer.reply.silent else explain_sender(*asked, facts, conditions)
    failing = preview_failover(*asked, facts, conditions, decision) if decision is not None else None
    rules = dispatcher.table.explain(message.body, dispatcher.occasion(message, moment))
    return Explanation(found.rule, rules, answer, decision, known, failing)


def _answer(found: Resolution, message: InboundMessage) -> PreviewedAnswer:
    """Return the answer as far as it is known without running a handler."""
    if isinstance(found.action, ForwardResponder):
        return PreviewedAnswer(Reply("(unknown)"), f"forwarded to {found.action.forward}")
    if not isinstance(found.action, TemplateResponder):
        return PreviewedAnswer(Reply("(unknown)"), f"the function {found.action.handler.source} is called")
    reply = found.action.reply(message)
    if isinstance(reply, ReplyFailed):
        return PreviewedAnswer(Reply("(the error reply)"), f"fails: {reply.cause}", failed=True)
    return PreviewedAnswer(reply, "\n".join((*reply.texts, *reply.media_urls)) or "(says nothing)")
