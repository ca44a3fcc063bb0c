"""The rule that takes a message, and what responds to it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sms_router.routing.dispatch.responders import ForwardResponder, HandlerResponder, TemplateResponder
from sms_router.routing.handler.conversation import Conversation
from sms_router.routing.handler.handler import Handler
from sms_router.routing.handler.reply import SILENCE
from sms_router.routing.keywords.templates import ConfiguredReply, StaticReply
from sms_router.routing.opt_outs.keywords import Intent, OptOutMatch
from sms_router.routing.upstream.forward_rule import Forward

RuleAnswer = ConfiguredReply | Handler | Forward


@dataclass(frozen=True, slots=True)
class Resolution:
    """The rule that a message belongs to, by its name for people, and what answers."""

    rule: str
    action: TemplateResponder | HandlerResponder | ForwardResponder
    heard: OptOutMatch | None = None
    """The opt-out word that the text is."""
    otherwise: Resolution | None = None
    """What answers somebody who is not on the opt-out list, where the word may be an ordinary text."""
    unclaimed: bool = False
    """True when no rule has claimed the text."""
    conversation: Conversation | None = None
    """What is kept of the person's conversation once this is answered; None: it stays as it is."""

    def for_person(self, opted_out: bool) -> Resolution:
        """Return what answers a person who is on the opt-out list, or who is not.

        No handler runs for somebody on the list: nothing that it promised could be told them. They are
        answered when they ask for help or come back, and told once that they have opted out.
        """
        if self.heard is None:
            return _ON_THE_LIST if opted_out else self
        if opted_out and self.heard.intent is Intent.STOP and self.heard.reply is not SILENCE:
            rule = f"opt-out word {self.heard.word.upper()} once more: nothing is said"
            return Resolution(rule, SILENT, replace(self.heard, reply=SILENCE))
        return self if opted_out or self.otherwise is None else self.otherwise


SILENT = TemplateResponder(StaticReply(SILENCE), "", "")
UNCLAIMED = Resolution("no rule and no default", SILENT, unclaimed=True)
_ON_THE_LIST = Resolution("on the opt-out list: nothing is said", SILENT)
