"""What other rules would have made of messages that have been: nothing is run, and nothing is sent."""

from __future__ import annotations

from dataclasses import dataclass

from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import Resolution
from sms_router.routing.dispatch.responders import HandlerResponder, TemplateResponder
from sms_router.routing.handler.reply import ReplyFailed
from sms_router.twilio.inbound import InboundMessage


@dataclass(frozen=True, slots=True)
class Preview:
    """The rule that a message belongs to, and its answer as far as it is known without asking anybody."""

    rule: str
    answer: str


def preview(dispatcher: Dispatcher, message: InboundMessage, moment: float) -> Preview:
    """Return what somebody who is on no opt-out list would get; ``moment`` is in seconds since the epoch."""
    found = dispatcher.resolve(message, moment).for_person(opted_out=False)
    return Preview(found.rule, _answer(found, message))


def _answer(found: Resolution, message: InboundMessage) -> str:
    action = found.action
    if isinstance(action, HandlerResponder):
        argument = f" with {action.argument!r}" if action.argument else ""
        return f"the function {action.handler.source}{argument}"
    if not isinstance(action, TemplateResponder):
        return f"forwarded to {action.forward}"
    reply = action.reply(message)
    if isinstance(reply, ReplyFailed):
        return f"fails: {reply.cause}"
    return "\n".join((*reply.texts, *reply.media_urls))
