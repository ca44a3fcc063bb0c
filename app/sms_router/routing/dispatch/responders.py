"""What answers a message: a text that is there at once, a function, or another application."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Collection
from dataclasses import dataclass
from math import inf
from typing import Protocol

from sms_router.privacy import mask_number, mask_text
from sms_router.routing.handler.conversation import Conversation
from sms_router.routing.handler.handler import Handler, HandlerError
from sms_router.routing.handler.reply import Reply, ReplyFailed
from sms_router.routing.keywords.templates import ConfiguredReply, TemplateError
from sms_router.routing.upstream.forward_rule import Forward
from sms_router.routing.upstream.models import Headers
from sms_router.twilio.inbound import InboundMessage

log = logging.getLogger("sms_router.dispatch")

MOST_LOGGED, MOST_CAUSE = 8000, 500
"""Characters of a failure that are logged, and kept with the dead letter."""


@dataclass(frozen=True, slots=True)
class TemplateResponder:
    """An answer that is there at once."""

    answer: ConfiguredReply
    argument: str
    keyword: str

    def reply(self, message: InboundMessage) -> Reply | ReplyFailed:
        """Return the reply."""
        try:
            return self.answer.reply(message, self.argument, self.keyword)
        except TemplateError as error:
            log.error("%s", error)
            return ReplyFailed(str(error))


@dataclass(frozen=True, slots=True)
class HandlerResponder:
    """An answer that a function gives."""

    handler: Handler
    argument: str
    keyword: str
    conversation: Conversation | None = None
    steps: Collection[str] | None = None
    """The names of all steps; None where there are no conversations."""

    async def run(
        self,
        message: InboundMessage,
        until: float = inf,  # noqa: ARG002 (a function goes on after the deadline)
        headers: Headers = (),  # noqa: ARG002
    ) -> Reply | ReplyFailed:
        """Call the function; whatever it raises is the cause of the failure, and goes no further."""
        try:
            reply = await self.handler(message, self.argument, self.keyword, self.conversation)
            self._settle(reply)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
                raise  # the worker stops; the handler did not cancel itself
            trace = "".join(traceback.format_exception(error, limit=-10))
            log.error("the handler %s failed:\n%s", self.handler.name, _told(trace, message, MOST_LOGGED))
            cause = " ".join("".join(traceback.format_exception_only(error)).split())
            return ReplyFailed(_told(cause, message, MOST_CAUSE))
        return reply

    def _settle(self, reply: Reply) -> None:
        """Work out what is kept of the conversation."""
        if self.conversation is not None and self.steps is not None:
            self.conversation.finish(reply.next_step, self.steps, self.handler.needs_conversation)
        elif reply.then is not None:
            raise HandlerError(f"{self.handler.name} answers with then, and nothing is below @step")


class MessageForwarder(Protocol):
    """What calls other applications."""

    async def forward(
        self, forward: Forward, message: InboundMessage, until: float, headers: Headers
    ) -> Reply | ReplyFailed:
        """Return what the application answers before ``until``, or why it does not."""


@dataclass(frozen=True, slots=True)
class ForwardResponder:
    """An answer that another application gives."""

    forward: Forward
    upstreams: MessageForwarder | None
    """None where nothing is ever sent."""

    async def run(self, message: InboundMessage, until: float, headers: Headers) -> Reply | ReplyFailed:
        """Ask the application; it has answered or failed before ``until``, by the monotonic clock."""
        if self.upstreams is None:
            return ReplyFailed("nothing is forwarded here")
        return await self.upstreams.forward(self.forward, message, until, headers)


def _told(text: str, message: InboundMessage, most: int) -> str:
    """Shorten what is logged and kept of a failure, without the person's number and words (design 12)."""
    if len(text) > most:
        text = f"{text[: most // 2]} ... {text[-most // 2 :]}"
    text = text.replace(message.sender, mask_number(message.sender))
    return text.replace(message.body, mask_text(message.body)) if len(message.body) > 3 else text


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
