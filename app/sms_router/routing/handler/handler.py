"""Calls handler functions with the arguments that they declare, through middlewares and deadlines.

The signature of a function is inspected once, when it is loaded. Async functions run on the event loop,
plain ones in threads.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

from sms_router.routing.handler.conversation import Conversation
from sms_router.routing.handler.http_client import HandlerHttpClient
from sms_router.routing.handler.reply import SILENCE, Reply
from sms_router.routing.handler.running_handlers import RunningHandlers
from sms_router.routing.handler.thread_pool import HandlerThreadPool
from sms_router.twilio.inbound import InboundMessage

if TYPE_CHECKING:
    import aiohttp


@dataclass(frozen=True, slots=True)
class HandlerContext:
    """The values of the arguments that a handler may declare (`ARGUMENTS`)."""

    message: InboundMessage
    words: tuple[str, ...]
    """The words of the text, as typed."""
    argument: str
    """The text behind the keyword, as typed; in a step the whole text."""
    answer: str
    """The argument in the form in which keywords are compared, without signs around it."""
    keyword: str
    """The keyword, as the rule writes it."""
    log: logging.Logger
    conversation: Conversation | None
    """Not None if any handler declares it."""
    http_client: HandlerHttpClient
    accept: Callable[[Reply], None]
    """Raises where a reply cannot be accepted."""

    @property
    def reply(self) -> type[Reply]:
        """The class, for handlers that do not import it."""
        return Reply

    @property
    def http(self) -> aiohttp.ClientSession:
        """The shared session for calls to other services."""
        return self.http_client.session()


ARGUMENTS = ("message", "words", "argument", "answer", "keyword", "log", "conversation", "reply", "http")
CALL_NEXT = "call_next"
"""The argument that a middleware declares in addition: a function that returns the handler's `Reply`."""


class HandlerError(Exception):
    """A handler cannot be called, or has returned something that is no reply."""


class HandlerTimeoutError(Exception):
    """A handler has not returned within its own deadline."""


@dataclass(frozen=True, slots=True)
class Middleware:
    """A function around every handler, which may act before it, after it, instead of it, or on its error."""

    name: str
    function: Callable[..., Awaitable[object]]
    arguments: tuple[str, ...]

    @classmethod
    def of(cls, function: Callable[..., object]) -> Middleware:
        """Inspect a function.

        Raises:
            HandlerError: when it cannot be a middleware; the text names it and the remedy.

        """
        function_name, source = _name_and_source(function)
        if not _is_async(function):
            raise HandlerError(f"{source}: a middleware must be an async function that awaits call_next()")
        declared = _declared_arguments(function, source, (*ARGUMENTS, CALL_NEXT))
        if CALL_NEXT not in declared:
            raise HandlerError(f"{source}: a middleware must declare call_next and await call_next()")
        arguments = tuple(name for name in declared if name != CALL_NEXT)
        return cls(function_name, cast("Callable[..., Awaitable[object]]", function), arguments)


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler function, its arguments and what is around it."""

    name: str
    source: str
    """Where it is written: ``acme.keywords:12 balance``."""
    function: Callable[..., object]
    arguments: tuple[str, ...]
    is_async: bool
    thread_pool: HandlerThreadPool = field(repr=False)
    log: logging.Logger = field(repr=False)
    middlewares: tuple[Middleware, ...] = ()
    """The outermost first."""
    deadline: float | None = None
    """Seconds after which it is cancelled and has failed."""
    http_client: HandlerHttpClient = field(default_factory=HandlerHttpClient, repr=False)
    running: RunningHandlers = field(default_factory=RunningHandlers, repr=False)

    @classmethod
    def of(
        cls,
        function: Callable[..., object],
        thread_pool: HandlerThreadPool,
        middlewares: Sequence[Middleware] = (),
        http_client: HandlerHttpClient | None = None,
        running: RunningHandlers | None = None,
    ) -> Handler:
        """Inspect a function.

        Raises:
            HandlerError: when it cannot be a handler; the text names it and the remedy.

        """
        name, source = _name_and_source(function)
        _check_kind(function, source)
        arguments = _declared_arguments(function, source, ARGUMENTS)
        is_async = _is_async(function)
        if not is_async and "http" in arguments:
            raise HandlerError(f"{source}: only an async function can use http; make it one, or use requests")
        return cls(
            name,
            source,
            function,
            arguments,
            is_async,
            thread_pool,
            logging.getLogger(f"handlers.{name}"),
            tuple(middlewares),
            http_client=http_client or HandlerHttpClient(),
            running=running or RunningHandlers(),
        )

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
    ) -> Reply:
        """Call the function through its middlewares and return its reply.

        Args:
            message: the text.
            argument: what is behind the keyword; in a step the whole text.
            keyword: as the rule writes it.
            conversation: that of the contact, if any handler declares one.
            answer: the argument as keywords are compared, without signs around it.
            accept: raises where a reply cannot be accepted; it is called before a middleware has the reply.

        Raises:
            HandlerError: when it returns something else than a text, a `Reply` or None.
            HandlerTimeoutError: when it does not return within its own deadline.
            QueueFullError: when too many plain handlers wait for a thread.
            Exception: whatever the function raises.

        """
        context = HandlerContext(
            message,
            message.words,
            argument,
            answer,
            keyword,
            self.log,
            conversation,
            self.http_client,
            accept,
        )
        if not self.is_async and not self.middlewares:
            return await self._call_middleware(context, 0)
        with self.running.run(self.name):
            return await self._call_middleware(context, 0)

    async def _call_middleware(self, context: HandlerContext, depth: int) -> Reply:
        """Call the middleware at a depth; below the last one is the function."""
        if depth == len(self.middlewares):
            if self.deadline is not None:
                return await self._call_with_deadline(context)
            return await self._call_function(context)
        middleware = self.middlewares[depth]
        arguments = {name: getattr(context, name) for name in middleware.arguments}
        call_next = partial(self._call_middleware, context, depth + 1)
        reply = _to_reply(middleware.name, await middleware.function(call_next=call_next, **arguments))
        context.accept(reply)
        return reply

    async def _call_with_deadline(self, context: HandlerContext) -> Reply:
        try:
            async with asyncio.timeout(self.deadline) as limit:
                reply = await self._call_function(context)
        except TimeoutError:
            if not limit.expired():
                raise  # raised by the function itself
        if limit.expired():
            raise HandlerTimeoutError(f"{self.name} took longer than its deadline of {self.deadline:g} s")
        return reply

    async def _call_function(self, context: HandlerContext) -> Reply:
        arguments = {name: getattr(context, name) for name in self.arguments}
        if self.is_async:
            result = self.function(**arguments)
        else:
            result = await self.thread_pool.run(partial(self.function, **arguments))
        if inspect.isawaitable(result):  # a plain decorator around an async function returns one, too
            result = await cast("Awaitable[object]", result)
        reply = _to_reply(self.name, result)
        context.accept(reply)
        return reply


def _name_and_source(function: Callable[..., object]) -> tuple[str, str]:
    """Return the name of a function, and where it is written, for people."""
    inner = inspect.unwrap(function)
    while isinstance(inner, partial):
        inner = inner.func
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    code = getattr(inner, "__code__", None)
    module = getattr(inner, "__module__", "?")
    return name, f"{module}:{code.co_firstlineno} {name}" if code else f"{module} {name}"


def _is_async(function: Callable[..., object]) -> bool:
    called = inspect.getattr_static(type(function), "__call__", None)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def _check_kind(function: Callable[..., object], source: str) -> None:
    if inspect.isclass(function):
        raise HandlerError(f"{source}: is a class; put @keyword above a function or a staticmethod of it")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise HandlerError(f"{source}: yields; return a Reply with a list of texts instead")


def _declared_arguments(
    function: Callable[..., object], source: str, known: Sequence[str]
) -> tuple[str, ...]:
    """Return the names of ``known`` that the function declares; other parameters must have defaults."""
    declared = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        by_name = parameter.kind is not parameter.POSITIONAL_ONLY
        if name in known and by_name and not _is_bound(function, name):
            declared.append(name)
        elif parameter.default is parameter.empty:
            raise HandlerError(_unknown_argument(source, name, known))
    if "http" in declared:
        importlib.import_module("aiohttp")  # now, not while a message waits
    return tuple(declared)


def _is_bound(function: Callable[..., object], name: str) -> bool:
    """Return whether a ``partial`` has set this argument."""
    return isinstance(function, partial) and name in function.keywords


def _unknown_argument(source: str, name: str, known: Sequence[str]) -> str:
    if name in known:
        return f"{source}: {name} is passed by name; remove the / from the function's arguments"
    if name == "self":
        return f"{source}: is a method without its object; make it a function or a staticmethod"
    return f"{source}: the argument {name!r} is unknown; a handler may declare {', '.join(known)}"


def _to_reply(name: str, result: object) -> Reply:
    if result is None:
        return SILENCE
    if isinstance(result, str):
        return Reply(result)
    if isinstance(result, Reply):
        return result
    raise HandlerError(f"{name} returned {type(result).__name__}; a handler returns a text, a Reply, or None")
