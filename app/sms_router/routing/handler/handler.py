"""Calls handler functions with the arguments that they declare, through middlewares and deadlines.

The signature of a function is inspected once, when it is loaded. Async functions run on the event loop,
plain ones in threads.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import logging
import textwrap
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from sms_router.routing.handler.conversation import Conversation
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.events import HandlerEvent
from sms_router.routing.handler.inspection import (
    ARGUMENTS,
    EVENT_ARGUMENTS,
    HandlerError,
    HandlerInfo,
    declared_arguments,
    is_async,
    name_and_source,
)
from sms_router.routing.handler.profile import HandlerContact
from sms_router.routing.handler.reply import SILENCE, HandlerForward, Reply
from sms_router.twilio.inbound import InboundMessage

_log = logging.getLogger("handlers")

CALL_NEXT = "call_next"
"""The argument that a middleware declares in addition: a function that returns the handler's `Reply`."""


class HandlerContext:
    """The values of the arguments for one message, each made when a function first declares it."""

    __slots__ = ("_accept", "_changes", "_environment", "_message", "stack", "values")

    def __init__(
        self,
        environment: HandlerEnvironment,
        message: InboundMessage,
        argument: str,
        answer: str,
        keyword: str,
        handler: HandlerInfo,
        log: logging.Logger = _log,
        conversation: Conversation | None = None,
        accept: Callable[[Reply], None] = lambda _: None,
        event: HandlerEvent | None = None,
    ) -> None:
        self._environment = environment
        self._message = message
        self._accept = accept
        self._changes: dict[str, str | bool] = {}
        self.stack = AsyncExitStack()
        self.values: dict[str, object] = {
            "message": message,
            "words": message.words,
            "argument": argument,
            "answer": answer,
            "keyword": keyword,
            "log": log,
            "conversation": conversation,
            "reply": Reply,
            "handler": handler,
            "event": event,
        }

    async def arguments(self, names: Iterable[str]) -> dict[str, object]:
        """Return the values for a function.

        Raises:
            HandlerError: when a name has none.
            Exception: whatever a function with ``@provide`` raises.

        """
        for name in names:
            if name not in self.values:
                self.values[name] = await self._make(name)
        return {name: self.values[name] for name in names}

    def accept(self, reply: Reply) -> None:
        """Check a reply, and what is set of the contact.

        Raises:
            Exception: when one of them cannot be accepted.

        """
        self._accept(reply)
        contact = self.values.get("contact")
        self._changes = contact.changes() if isinstance(contact, HandlerContact) else {}

    async def store_contact(self) -> None:
        if self._changes and self._environment.contacts is not None:
            await self._environment.contacts.change_profile(self._message, self._changes)

    async def _make(self, name: str) -> object:
        environment = self._environment
        if name == "contact":
            store = environment.contacts
            profile = await store.profile_of(self._message) if store is not None else ""
            return HandlerContact(self._message.contact, profile)
        if name == "cancelled":
            return threading.Event()
        if name == "sms" and environment.sms_for is not None:
            info = cast("HandlerInfo", self.values["handler"])
            return environment.sms_for(f"handler {info.name or info.rule}", self._message)
        if (provider := environment.providers.get(name)) is None:
            return environment.value(name)
        if name in provider.arguments:
            raise HandlerError(f"{provider.source}: needs its own value")
        return await provider.enter(await self.arguments(provider.arguments), environment.threads, self.stack)

    async def address(self, reply: Reply) -> Reply:
        """Return a reply whose parts may be sent to the other people that they name."""
        if self._environment.address is None:
            raise HandlerError("nothing is sent to other people here")
        return await self._environment.address(reply, self._message)

    def cancel(self) -> None:
        """Notify a plain function, which cannot be stopped, that its result is not used."""
        cancelled = self.values.get("cancelled")
        if isinstance(cancelled, threading.Event):
            cancelled.set()


class HandlerTimeoutError(Exception):
    """A handler has not returned within its own deadline."""


@dataclass(frozen=True, slots=True)
class Middleware:
    """A function around every handler, which may act before it, after it, instead of it, or on its error."""

    name: str
    function: Callable[..., Awaitable[object]]
    arguments: tuple[str, ...]
    is_for_all: bool = False
    """Stands around templates and other applications too."""

    @classmethod
    def of(
        cls,
        function: Callable[..., object],
        environment: HandlerEnvironment | None = None,
        *,
        is_for_all: bool = False,
    ) -> Middleware:
        """Inspect a function.

        Raises:
            HandlerError: when it cannot be a middleware; the text names it and the remedy.

        """
        function_name, source = name_and_source(function)
        if not is_async(function):
            raise HandlerError(f"{source}: a middleware must be an async function that awaits call_next()")
        others = (CALL_NEXT, *(environment.names if environment is not None else ()))
        declared = declared_arguments(function, source, (*ARGUMENTS, *others), others)
        if CALL_NEXT not in declared:
            raise HandlerError(f"{source}: a middleware must declare call_next and await call_next()")
        arguments = tuple(name for name in declared if name != CALL_NEXT)
        return cls(function_name, cast("Callable[..., Awaitable[object]]", function), arguments, is_for_all)


def names_passed_on(function: Callable[..., object]) -> Iterator[str]:
    """Yield the names that a middleware passes on in its source, as ``call_next(session=session)`` does."""
    with suppress(OSError, TypeError, SyntaxError):
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == CALL_NEXT:
                yield from (keyword.arg for keyword in node.keywords if keyword.arg is not None)


async def call_through(
    middlewares: Sequence[Middleware],
    context: HandlerContext,
    innermost: Callable[[HandlerContext], Awaitable[Reply]],
) -> Reply:
    """Call what replies through middlewares, the outermost first, and return the reply once it is accepted.

    What ``@provide`` functions do behind their ``yield`` comes last, in reverse order: it is not reached
    where anything before has raised.

    Raises:
        HandlerError: when something is returned that is no reply, or a provider swallows an error.
        Exception: whatever a function of the team raises.

    """

    async def call(depth: int, **passed: object) -> Reply:
        context.values |= passed
        if depth == len(middlewares):
            reply = await innermost(context)
        else:
            middleware = middlewares[depth]
            arguments = await context.arguments(middleware.arguments)
            call_next = partial(call, depth + 1)
            reply = _to_reply(middleware.name, await middleware.function(call_next=call_next, **arguments))
        context.accept(reply)
        return reply

    reply: Reply | None = None
    async with context.stack:
        reply = await call(0)
    if reply is None:
        raise HandlerError("a function with @provide must raise the error again that it gets at its yield")
    if any(part.to for part in reply.parts):
        reply = await context.address(reply)
    await context.store_contact()
    return reply


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler function, its arguments and what is around it."""

    name: str
    source: str
    """Where it is written: ``acme.keywords:12 balance``."""
    function: Callable[..., object]
    arguments: tuple[str, ...]
    is_async: bool
    environment: HandlerEnvironment = field(repr=False)
    log: logging.Logger = field(repr=False)
    middlewares: tuple[Middleware, ...] = ()
    """The outermost first."""
    deadline: float | None = None
    """Seconds after which it is cancelled and has failed."""

    @classmethod
    def of(
        cls,
        function: Callable[..., object],
        environment: HandlerEnvironment,
        middlewares: Sequence[Middleware] = (),
        *,
        is_for_events: bool = False,
    ) -> Handler:
        """Inspect a function.

        Raises:
            HandlerError: when it cannot be a handler; the text names it and the remedy.

        """
        name, source = name_and_source(function)
        if inspect.isclass(function):
            raise HandlerError(f"{source}: is a class; put @keyword above a function or a staticmethod of it")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise HandlerError(f"{source}: yields; return a Reply with a list of texts instead")
        known, others = (
            (EVENT_ARGUMENTS, environment.own) if is_for_events else (ARGUMENTS, environment.names)
        )
        arguments = declared_arguments(function, source, (*known, *others), others)
        runs_on_loop = is_async(function)
        if not runs_on_loop and "http" in arguments:
            raise HandlerError(f"{source}: only an async function can use http; make it one, or use requests")
        log = logging.getLogger(f"handlers.{name}")
        around = () if is_for_events else tuple(middlewares)
        return cls(name, source, function, arguments, runs_on_loop, environment, log, around)

    @property
    def needs_conversation(self) -> bool:
        """True when it declares ``conversation``."""
        return "conversation" in self.arguments

    async def __call__(
        self,
        message: InboundMessage,
        argument: str,
        keyword: str,
        conversation: Conversation | None = None,
        answer: str = "",
        accept: Callable[[Reply], None] = lambda _: None,
        rule: str = "",
        event: HandlerEvent | None = None,
    ) -> Reply:
        """Call the function through its middlewares and return its reply.

        ``argument`` is what is behind the keyword, in a step the whole text, and ``answer`` the same as
        keywords are compared, without signs around it. ``accept`` raises where a reply cannot be accepted;
        it is called before a middleware has the reply. With an ``event`` the function returns None.

        Raises:
            HandlerError: when it returns something else than a text, a `Reply` or None.
            HandlerTimeoutError: when it does not return within its own deadline.
            BlockedLoopError: when it has blocked the event loop for too long.
            QueueFullError: when too many plain handlers wait for a thread.
            Exception: whatever the function raises.

        """
        info = HandlerInfo(self.name, rule or keyword, conversation.step if conversation else None)
        context = HandlerContext(
            self.environment, message, argument, answer, keyword, info, self.log, conversation, accept, event
        )
        running = self.environment.running
        reply = call_through(self.middlewares, context, self._call)
        if not self.is_async and not self.middlewares:
            return await reply
        with running.run(self.name):
            return await running.measured(self.name, reply)

    async def _call(self, context: HandlerContext) -> Reply:
        arguments = await context.arguments(self.arguments)
        if self.deadline is None:
            return await self._call_function(context, arguments)
        try:
            async with asyncio.timeout(self.deadline) as limit:
                reply = await self._call_function(context, arguments)
        except TimeoutError:
            if not limit.expired():
                raise  # raised by the function itself
        if limit.expired():
            raise HandlerTimeoutError(f"{self.name} took longer than its deadline of {self.deadline:g} s")
        return reply

    async def _call_function(self, context: HandlerContext, arguments: dict[str, object]) -> Reply:
        try:
            if self.is_async:
                result = self.function(**arguments)
            else:
                result = await self.environment.threads.run(partial(self.function, **arguments))
            if inspect.isawaitable(result):  # a plain decorator around an async function returns one, too
                result = await cast("Awaitable[object]", result)
        except asyncio.CancelledError:
            context.cancel()
            raise
        if context.values["event"] is not None and result is not None:
            raise HandlerError(
                f"{self.name} returned {type(result).__name__}; a handler with @on returns None, and sends"
                " with sms.send"
            )
        if isinstance(result, HandlerForward):
            if self.environment.forward is None:
                raise HandlerError("nothing is forwarded here")
            return await self.environment.forward(result, cast("InboundMessage", context.values["message"]))
        return _to_reply(self.name, result)


def _to_reply(name: str, result: object) -> Reply:
    if result is None:
        return SILENCE
    if isinstance(result, str):
        return Reply(result)
    if isinstance(result, Reply):
        return result
    raise HandlerError(
        f"{name} returned {type(result).__name__}; a handler returns a text, a Reply, a Forward, or None"
    )
