"""What other rules would have made of messages that have been: nothing is run, and nothing is sent."""

from __future__ import annotations

from dataclasses import dataclass

from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import Found
from sms_router.routing.dispatch.responders import Immediate, Running
from sms_router.routing.handler.reply import Failed
from sms_router.twilio.inbound import InboundMessage


@dataclass(frozen=True, slots=True)
class Outcome:
    """The rule that a message belongs to, and its answer as far as it is known without asking anybody."""

    rule: str
    answer: str


def tried(dispatcher: Dispatcher, message: InboundMessage, moment: float) -> Outcome:
    """Return what somebody who is on no opt-out list would get; ``moment`` is in seconds since the epoch."""
    found = dispatcher.find(message, moment).for_person(opted_out=False)
    return Outcome(found.rule, _answer(found, message))


def _answer(found: Found, message: InboundMessage) -> str:
    action = found.action
    if isinstance(action, Running):
        argument = f" with {action.argument!r}" if action.argument else ""
        return f"the function {action.handler.source}{argument}"
    if not isinstance(action, Immediate):
        return f"forwarded to {action.forward}"
    reply = action.reply(message)
    if isinstance(reply, Failed):
        return f"fails: {reply.cause}"
    return "\n".join((*reply.texts, *reply.media_urls))
