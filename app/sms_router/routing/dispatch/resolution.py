"""The rule that takes a message, and what responds to it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sms_router.routing.dispatch.responders import Responder, TemplateResponder
from sms_router.routing.handler.conversation import Conversation
from sms_router.routing.handler.handler import Handler
from sms_router.routing.handler.reply import SILENCE
from sms_router.routing.keywords.templates import ConfiguredReply, StaticReply
from sms_router.routing.opt_outs.keywords import Intent, OptOutMatch
from sms_router.routing.upstream.forward_rule import Forward

RuleAction = ConfiguredReply | Handler | Forward
"""What a rule does with a message."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The rule that takes a message, by its name, and what responds."""

    rule: str
    responder: Responder
    opt_out: OptOutMatch | None = None
    """The opt-out keyword that the text is."""
    unless_opted_out: Resolution | None = None
    """What takes an opt-out keyword of a contact who has not opted out, where it may be an ordinary text."""
    is_default: bool = False
    """True where no rule takes the text."""
    is_reaction: bool = False
    """True where the text is a reaction, which no conversation takes."""
    conversation: Conversation | None = None
    """What the message makes of the contact's conversation; None leaves it as it is."""
    is_suspected: bool = False
    """The text may be meant as STOP, and is listed for an operator."""
    opts_in: bool = False
    """A contact who has opted out opts in with the message."""

    def for_contact(self, opted_out: bool) -> Resolution:
        """Return what takes the message of a contact who has opted out, or who has not.

        No handler runs for a contact who has opted out, because nothing could be sent to them. HELP and START
        are answered, and STOP only the first time.
        """
        if self.opt_out is None:
            return _OPTED_OUT if opted_out and not self.opts_in else self
        if opted_out and self.opt_out.intent is Intent.STOP and self.opt_out.reply is not SILENCE:
            rule = f"opt-out word {self.opt_out.word.upper()} again: no reply"
            return Resolution(rule, SILENT, replace(self.opt_out, reply=SILENCE))
        return self if opted_out or self.unless_opted_out is None else self.unless_opted_out


SILENT = TemplateResponder(StaticReply(SILENCE), "", "")
NO_RULE = Resolution("no rule and no default", SILENT, is_default=True)
REACTION = Resolution("a reaction: no reply", SILENT, is_reaction=True)
_OPTED_OUT = Resolution("opted out: no reply", SILENT)
