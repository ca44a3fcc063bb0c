"""Keyword functions: how a team's code is found, checked and called.

A function's signature is inspected once, when it is loaded; it is called with the arguments that it
declares by name and no others. Plain functions run in threads.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import inspect
import logging
import pkgutil
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any, TypeVar, cast

from app.routing.replies import SILENCE, Reply
from app.twilio.inbound import InboundMessage

Function = TypeVar("Function", bound=Callable[..., object])

_MARK = "_sms_router_keywords"


@dataclass(frozen=True, slots=True)
class Registration:
    """What ``@keyword`` was told."""

    words: tuple[str, ...]
    match: str
    services: tuple[str, ...]
    numbers: tuple[str, ...]
    countries: tuple[str, ...]
    fold_accents: bool


def keyword(
    *words: str,
    match: str = "first-word",
    services: Sequence[str] = (),
    numbers: Sequence[str] = (),
    countries: Sequence[str] = (),
    fold_accents: bool = False,
) -> Callable[[Function], Function]:
    """Make a function the answer to one or more keywords.

    The function may be async or plain (plain ones run in threads), and is given what it declares
    by name: ``message``, ``words``, ``argument``, ``keyword``, ``log``. It returns a text, a
    `Reply`, or nothing.

    Args:
        words: the keywords, for example ``"BALANCE", "BAL"``.
        match: "whole" (the text is the keyword), "first-word" or "prefix".
        services: Messaging Service sids where the keyword counts; none means everywhere.
        numbers: numbers that must have been texted; none means any.
        countries: countries of the sender (ISO 3166); none means any.
        fold_accents: whether "información" also matches "informacion".

    """
    registration = Registration(words, match, tuple(services), tuple(numbers), tuple(countries), fold_accents)

    def register(function: Function) -> Function:
        marks = getattr(function, _MARK, ())
        setattr(function, _MARK, (*marks, registration))
        return function

    return register


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler may ask for, by the names of these fields."""

    message: InboundMessage
    words: tuple[str, ...]
    """The words of the text, as they were typed."""
    argument: str
    """What follows the keyword, as it was typed."""
    keyword: str
    """The keyword, as the rule writes it."""
    log: logging.Logger


ARGUMENTS = tuple(Call.__dataclass_fields__)


class HandlerError(Exception):
    """A handler cannot be loaded, or returned something that is not an answer."""


@dataclass(frozen=True, slots=True)
class Handler:
    """A keyword function, ready to be called."""

    name: str
    source: str
    function: Callable[..., object]
    arguments: tuple[str, ...]
    plain: bool
    threads: Threads = field(repr=False)
    log: logging.Logger = field(repr=False)

    async def __call__(self, message: InboundMessage, argument: str, word: str) -> Reply:
        """Call the function and return what it answers.

        Raises:
            HandlerError: when it returns something else than a text, a `Reply` or nothing.
            Exception: whatever the function raises.

        """
        call = Call(message, message.words, argument, word, self.log)
        arguments = {name: getattr(call, name) for name in self.arguments}
        if self.plain:
            answer = await self.threads.run(partial(self.function, **arguments))
        else:
            answer = await cast("Awaitable[object]", self.function(**arguments))
        return _reply(self.name, answer)


class Threads:
    """The threads that plain handlers run in: so many, and a bounded queue before them."""

    def __init__(self, count: int) -> None:
        """Start no more than ``count`` threads."""
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="handler")
        self._places = count * 64

    async def run(self, function: Callable[[], object]) -> object:
        """Run a plain function in a thread.

        Raises:
            HandlerError: when too many wait already.

        """
        if self._places <= 0:
            raise HandlerError("too many plain handlers are waiting for a thread")
        self._places -= 1
        context = contextvars.copy_context()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, context.run, function)
        finally:
            self._places += 1

    def close(self) -> None:
        """Take no more work; what has not begun is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def load_handlers(names: Sequence[str], threads: Threads) -> list[tuple[Registration, Handler]]:
    """Import the named modules and packages and return every keyword function in them.

    Raises:
        HandlerError: with one line for each mistake.

    """
    found: list[tuple[Registration, Handler]] = []
    mistakes: list[str] = []
    for name in names:
        try:
            modules = list(_modules(name))
        except Exception as error:
            mistakes.append(f"handlers: {name} cannot be imported: {type(error).__name__}: {error}")
            continue
        for function in _marked_functions(modules):
            try:
                handler = _handler(function, threads)
            except HandlerError as error:
                mistakes.append(str(error))
                continue
            found += [(registration, handler) for registration in getattr(function, _MARK)]
    if mistakes:
        raise HandlerError("\n".join(mistakes))
    return found


def _modules(name: str) -> Iterator[ModuleType]:
    module = importlib.import_module(name)
    yield module
    for inner in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{name}."):
        yield importlib.import_module(inner.name)


def _marked_functions(modules: Sequence[ModuleType]) -> Iterator[Callable[..., object]]:
    seen: set[int] = set()
    for module in modules:
        for value in vars(module).values():
            if callable(value) and hasattr(value, _MARK) and id(value) not in seen:
                seen.add(id(value))
                yield value


def _handler(function: Callable[..., object], threads: Threads) -> Handler:
    name = getattr(function, "__qualname__", repr(function))
    code = getattr(inspect.unwrap(function), "__code__", None)
    module = getattr(function, "__module__", "?")
    source = f"{module}:{code.co_firstlineno} {name}" if code else f"{module} {name}"
    arguments = _declared(function, source)
    plain = not inspect.iscoroutinefunction(inspect.unwrap(function))
    return Handler(name, source, function, arguments, plain, threads, logging.getLogger(f"handlers.{name}"))


def _declared(function: Callable[..., object], source: str) -> tuple[str, ...]:
    parameters: Mapping[str, inspect.Parameter] = inspect.signature(function).parameters
    declared = []
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name in ARGUMENTS and parameter.kind is not parameter.POSITIONAL_ONLY:
            declared.append(name)
        elif parameter.default is parameter.empty:
            raise HandlerError(
                f"{source}: nothing is known as {name!r}; a handler may declare {', '.join(ARGUMENTS)}"
            )
    return tuple(declared)


def _reply(name: str, answer: Any) -> Reply:
    if answer is None:
        return SILENCE
    if isinstance(answer, str):
        return Reply(answer)
    if isinstance(answer, Reply):
        return answer
    raise HandlerError(
        f"{name} returned {type(answer).__name__}; a handler returns a text, a Reply, or nothing"
    )
