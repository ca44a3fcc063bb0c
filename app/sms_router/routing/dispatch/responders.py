"""What responds to a message: a template, a handler function, or another application."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace

from sms_router.privacy import mask_number_in, mask_numbers, mask_text
from sms_router.routing.handler.conversation import Conversation
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.events import HandlerEvent
from sms_router.routing.handler.handler import Handler, HandlerContext, Middleware, call_through
from sms_router.routing.handler.inspection import HandlerError, HandlerInfo, from_team
from sms_router.routing.handler.reply import SILENCE, Part, Reply, ReplyFailed
from sms_router.routing.keywords.normalize import normalize_answer
from sms_router.routing.keywords.templates import ConfiguredReply, TemplateError
from sms_router.routing.upstream.forward_rule import Forward
from sms_router.routing.upstream.models import Headers
from sms_router.twilio.inbound import InboundMessage

log = logging.getLogger("sms_router.dispatch")

MAX_LOGGED_TRACEBACK = 8000
MAX_CAUSE = 500
"""Characters of a failure in the log, and in the dead letter."""


@dataclass(frozen=True, slots=True)
class TemplateResponder:
    """A text of the configuration."""

    template: ConfiguredReply
    argument: str
    keyword: str

    def reply(self, message: InboundMessage, profile: str = "") -> Reply | ReplyFailed:
        """Return the reply to a contact with a profile, or why the template fails, which is logged."""
        try:
            return self.template.reply(message, self.argument, self.keyword, profile)
        except TemplateError as error:
            log.error("%s", error)
            return ReplyFailed(str(error))


@dataclass(frozen=True, slots=True)
class HandlerResponder:
    """A handler function."""

    handler: Handler
    argument: str
    keyword: str
    conversation: Conversation | None = None
    steps: Collection[str] | None = None
    """The names of all steps; None where no handler has a conversation."""
    rule: str = ""
    """Its name."""
    leave_hint: str | None = None
    """Is added to the first question of a conversation; None in a step."""

    async def run(self, message: InboundMessage, *_: object) -> Reply | ReplyFailed:
        """Call the handler and return its reply, or why it fails, which is logged.

        It goes on after the deadline of the message. Nothing that a handler raises ends the worker: asyncio
        would pass a KeyboardInterrupt on to the event loop. Signals do not arrive here: the worker handles
        them.
        """
        try:
            answer = normalize_answer(self.argument)
            reply = await self.handler(
                message, self.argument, self.keyword, self.conversation, answer, self._accept, self.rule
            )
        except BaseException as error:
            failed = _failure(error, f"the handler {self.handler.name}", message)
            if self.conversation is not None:
                self.conversation.discard()
            return failed
        return _add_text(reply, self.leave_hint) if self.leave_hint and reply.then is not None else reply

    def _accept(self, reply: Reply) -> None:
        """Check the reply, and serialize the conversation that goes with it.

        Raises:
            HandlerError: when there is no step to go on with.
            ConversationError: when the conversation cannot be stored.

        """
        if self.conversation is not None and self.steps is not None:
            self.conversation.finish(reply.next_step, self.steps, self.handler.needs_conversation)
        elif reply.then is not None:
            raise HandlerError(f"{self.handler.name} answers with then, and there is no @step")


@dataclass(frozen=True, slots=True)
class EventResponder:
    """The handlers of an event, which send nothing by themselves."""

    event: HandlerEvent
    handlers: Sequence[Handler]
    done: list[str]
    """The handlers that have returned."""

    async def run(self, message: InboundMessage, *_: object) -> Reply | ReplyFailed:
        """Call each handler that is not done; return nothing to send, or why the first that failed did."""
        failed: ReplyFailed | None = None
        if not self.handlers:
            failed = ReplyFailed(f'no function has @on("{self.event.kind}") any more')
        for handler in self.handlers:
            if handler.source in self.done:
                continue
            try:
                await handler(message, "", "", rule=f"event {self.event.kind}", event=self.event)
                self.done.append(handler.source)
            except BaseException as error:
                failed = failed or _failure(error, f"the handler {handler.name}", message)
        return failed or SILENCE


ForwardMessage = Callable[[Forward, InboundMessage, float, Headers], Awaitable[Reply | ReplyFailed]]
"""Calls another application (`Forwarder.forward`)."""


@dataclass(frozen=True, slots=True)
class ForwardResponder:
    """Another application."""

    forward: Forward
    call: ForwardMessage | None
    """None where nothing is forwarded."""

    async def run(self, message: InboundMessage, until: float, headers: Headers) -> Reply | ReplyFailed:
        """Return what the application answers before ``until`` (monotonic clock), or why it does not."""
        if self.call is None:
            return ReplyFailed("nothing is forwarded here")
        return await self.call(self.forward, message, until, headers)


Responder = TemplateResponder | HandlerResponder | ForwardResponder | EventResponder


@dataclass(frozen=True, slots=True)
class WrappedResponder:
    """A template or another application, with the middlewares around it whose scope is "all"."""

    inner: TemplateResponder | ForwardResponder
    rule: str
    middlewares: Sequence[Middleware]
    environment: HandlerEnvironment
    profile: str = ""
    """What handlers have stored of the contact."""

    async def run(self, message: InboundMessage, until: float, headers: Headers) -> Reply | ReplyFailed:
        """Return the reply of the outermost middleware, or why there is none."""

        inner = self.inner

        async def respond(_: HandlerContext) -> Reply:
            if isinstance(inner, TemplateResponder):
                reply = inner.reply(message, self.profile)
            else:
                reply = await inner.run(message, until, headers)
            if isinstance(reply, ReplyFailed):
                raise HandlerError(reply.cause)
            return reply

        argument, keyword = message.body, ""
        if isinstance(inner, TemplateResponder):
            argument, keyword = inner.argument, inner.keyword
        info = HandlerInfo("", self.rule)
        context = HandlerContext(
            self.environment, message, argument, normalize_answer(argument), keyword, info
        )
        try:
            return await call_through(self.middlewares, context, respond)
        except BaseException as error:
            return _failure(error, f"a middleware around {self.rule}", message)


def _failure(error: BaseException, name: str, message: InboundMessage) -> ReplyFailed:
    """Log what a function of the team has raised, and return it as a cause.

    Raises:
        CancelledError: when the worker stops; the function did not cancel itself.

    """
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error
    if log.isEnabledFor(logging.DEBUG):  # serve --dev
        log.error("%s failed", name, exc_info=from_team(error))
    else:
        trace = "".join(traceback.format_exception(error, limit=-10))
        log.error("%s failed:\n%s", name, _shorten_and_mask(trace, message, MAX_LOGGED_TRACEBACK))
    own = isinstance(error, HandlerError)  # a sentence of the router, which needs no name of its class
    cause = " ".join((str(error) if own else "".join(traceback.format_exception_only(error))).split())
    return ReplyFailed(_shorten_and_mask(cause, message, MAX_CAUSE))


def _add_text(reply: Reply, line: str) -> Reply:
    """Return a reply with a line below its last text for the contact."""
    if reply.parts:
        parts = [*reply.parts]
        own = [place for place, part in enumerate(parts) if part.to is None]
        if not own:
            return replace(reply, parts=(*parts, Part(line)))
        text = parts[own[-1]].text
        parts[own[-1]] = replace(parts[own[-1]], text=f"{text}\n{line}" if text else line)
        return replace(reply, parts=parts)
    *before, last_text = reply.texts or ("",)
    return replace(reply, text=(*before, f"{last_text}\n{line}" if last_text else line))


def _shorten_and_mask(text: str, message: InboundMessage, length: int) -> str:
    """Cut the middle out of a long failure, and mask numbers and the contact's text in it."""
    if len(text) > length:
        text = f"{text[: length // 2]} ... {text[-length // 2 :]}"
    text = mask_numbers(mask_number_in(text, message.sender))
    return text.replace(message.body, mask_text(message.body)) if len(message.body) > 3 else text
