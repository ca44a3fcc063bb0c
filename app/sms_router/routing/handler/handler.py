"""Keyword functions as the router calls them: with the arguments that they declare, and no others.

A function's signature is inspected once, when it is loaded. Async functions run on the event loop,
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
from sms_router.routing.handler.thread_pool import HandlerThreadPool
from sms_router.twilio.inbound import InboundMessage

if TYPE_CHECKING:
    import aiohttp


@dataclass(frozen=True, slots=True)
class HandlerContext:
    """What a handler may ask for, by the names in `ARGUMENTS`."""

    message: InboundMessage
    words: tuple[str, ...]
    """The words of the text, as they were typed."""
    argument: str
    """What follows the keyword, as it was typed."""
    keyword: str
    """The keyword, as the rule writes it."""
    log: logging.Logger
    conversation: Conversation | None
    """Not None where any handler declares it."""
    connections: HandlerHttpClient

    @property
    def reply(self) -> type[Reply]:
        """`Reply`, for those who would rather not import it: ``return reply("Here.", media=[...])``."""
        return Reply

    @property
    def http(self) -> aiohttp.ClientSession:
        """The session for calling other services."""
        return self.connections.session()


ARGUMENTS = ("message", "words", "argument", "keyword", "log", "conversation", "reply", "http")
CALL_NEXT = "call_next"
"""What a middleware declares beside them: called without arguments, it returns the handler's `Reply`."""


class HandlerError(Exception):
    """A handler cannot be used, or returned something that is not an answer."""


class HandlerTimeoutError(Exception):
    """A handler took longer than its own deadline allows."""


@dataclass(frozen=True, slots=True)
class Middleware:
    """A function around every keyword function: it may act before, after, instead, and on an error."""

    name: str
    function: Callable[..., Awaitable[object]]
    arguments: tuple[str, ...]

    @classmethod
    def of(cls, function: Callable[..., object]) -> Middleware:
        """Inspect a function.

        Raises:
            HandlerError: when it cannot stand around a handler, naming it and what to change.

        """
        name, source = _names(function)
        if not _is_async(function):
            raise HandlerError(f"{source}: a middleware is an async function, since it awaits call_next()")
        declared = _declared(function, source, (*ARGUMENTS, CALL_NEXT))
        if CALL_NEXT not in declared:
            raise HandlerError(f"{source}: a middleware declares call_next, and awaits it: call_next()")
        arguments = tuple(each for each in declared if each != CALL_NEXT)
        return cls(name, cast("Callable[..., Awaitable[object]]", function), arguments)


@dataclass(frozen=True, slots=True)
class Handler:
    """A keyword function, ready to be called."""

    name: str
    source: str
    """Where it is written, for people: ``acme.keywords:12 balance``."""
    function: Callable[..., object]
    arguments: tuple[str, ...]
    plain: bool
    threads: HandlerThreadPool = field(repr=False)
    log: logging.Logger = field(repr=False)
    middlewares: tuple[Middleware, ...] = ()
    """What stands around it, the outermost first."""
    deadline: float | None = None
    """Seconds after which it is cancelled and has failed."""
    connections: HandlerHttpClient = field(default_factory=HandlerHttpClient, repr=False)

    @classmethod
    def of(
        cls,
        function: Callable[..., object],
        threads: HandlerThreadPool,
        middlewares: Sequence[Middleware] = (),
        connections: HandlerHttpClient | None = None,
    ) -> Handler:
        """Inspect a function.

        Raises:
            HandlerError: when it cannot answer messages, naming it and what to change.

        """
        name, source = _names(function)
        _check_kind(function, source)
        declared, plain = _declared(function, source, ARGUMENTS), not _is_async(function)
        if plain and "http" in declared:
            raise HandlerError(f"{source}: http is awaited; make it an async function, or bring requests")
        return cls(
            name,
            source,
            function,
            declared,
            plain,
            threads,
            logging.getLogger(f"handlers.{name}"),
            tuple(middlewares),
            connections=connections or HandlerHttpClient(),
        )

    @property
    def needs_conversation(self) -> bool:
        """True when it cannot do without the person's conversation."""
        return "conversation" in self.arguments

    async def __call__(
        self,
        message: InboundMessage,
        argument: str,
        word: str,
        conversation: Conversation | None = None,
    ) -> Reply:
        """Call the function, through the middlewares around it, and return what it answers.

        Raises:
            HandlerError: when it returns something else than a text, a `Reply` or nothing.
            DeadlineError: when it takes longer than its own deadline.
            CrowdedError: when too many plain handlers wait for a thread.
            Exception: whatever the function raises.

        """
        call = HandlerContext(
            message, message.words, argument, word, self.log, conversation, self.connections
        )
        return await self._around(call, 0)

    async def _around(self, call: HandlerContext, depth: int) -> Reply:
        """Call the middleware at a depth; below the last one is the function."""
        if depth == len(self.middlewares):
            return await self._in_time(call) if self.deadline is not None else await self._function(call)
        middleware = self.middlewares[depth]
        arguments = {name: getattr(call, name) for name in middleware.arguments}
        answer = await middleware.function(call_next=partial(self._around, call, depth + 1), **arguments)
        return _reply(middleware.name, answer)

    async def _in_time(self, call: HandlerContext) -> Reply:
        try:
            async with asyncio.timeout(self.deadline) as limit:
                reply = await self._function(call)
        except TimeoutError:
            if not limit.expired():
                raise  # the function's own
        if limit.expired():
            raise HandlerTimeoutError(f"{self.name} took longer than its deadline of {self.deadline:g} s")
        return reply

    async def _function(self, call: HandlerContext) -> Reply:
        arguments = {name: getattr(call, name) for name in self.arguments}
        if self.plain:
            answer = await self.threads.run(partial(self.function, **arguments))
        else:
            answer = self.function(**arguments)
        if inspect.isawaitable(answer):  # also a plain decorator around an async function
            answer = await cast("Awaitable[object]", answer)
        return _reply(self.name, answer)


def _names(function: Callable[..., object]) -> tuple[str, str]:
    """Return what a function is called, and where it is written, for people."""
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


def _declared(function: Callable[..., object], source: str, known: Sequence[str]) -> tuple[str, ...]:
    """Return the names of what the function wants of ``known``; the rest must have defaults."""
    declared = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        by_name = parameter.kind is not parameter.POSITIONAL_ONLY
        if name in known and by_name and not _is_bound(function, name):
            declared.append(name)
        elif parameter.default is parameter.empty:
            raise HandlerError(_cannot_be_given(source, name, known))
    if "http" in declared:
        importlib.import_module("aiohttp")  # at the start, rather than while a text waits
    return tuple(declared)


def _is_bound(function: Callable[..., object], name: str) -> bool:
    """Tell whether a ``partial`` has settled this argument itself."""
    return isinstance(function, partial) and name in function.keywords


def _cannot_be_given(source: str, name: str, known: Sequence[str]) -> str:
    if name in known:
        return f"{source}: {name} must be taken by its name; remove the / from the function's arguments"
    if name == "self":
        return f"{source}: is a method without its object; make it a function or a staticmethod"
    return f"{source}: nothing is known as {name!r}; a handler may declare {', '.join(known)}"


def _reply(name: str, answer: object) -> Reply:
    if answer is None:
        return SILENCE
    if isinstance(answer, str):
        return Reply(answer)
    if isinstance(answer, Reply):
        return answer
    raise HandlerError(
        f"{name} returned {type(answer).__name__}; a handler returns a text, a Reply, or nothing"
    )
