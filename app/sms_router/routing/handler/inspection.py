"""Inspects a team's functions: their arguments, where they are written, and where they have failed."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sysconfig
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

ARGUMENTS = (
    "message",
    "words",
    "argument",
    "answer",
    "keyword",
    "log",
    "conversation",
    "contact",
    "reply",
    "http",
    "sms",
    "handler",
    "cancelled",
)
"""What every handler may declare; `HandlerContext` has the values."""

EVENT_ARGUMENTS = ("event", "contact", "log", "http", "sms", "handler", "cancelled")
"""The same for a handler with ``@on``."""

_INJECTION_MARKERS = ("Depends", "Security", "Inject", "Provide", "FromDishka")
"""Classes of other frameworks whose objects stand as the default of an argument."""

_TYPES = {
    "message": "InboundMessage",
    "words": "tuple",
    "argument": "str",
    "answer": "str",
    "keyword": "str",
    "conversation": "Conversation",
    "event": "Event",
    "contact": "Contact",
}
_BUILTINS = {"str", "int", "float", "bool", "bytes", "dict", "list", "set", "tuple"}


_NOT_OF_THE_TEAM = ("<", f"{sysconfig.get_path('stdlib')}/", f"{Path(__file__).parents[2]}/")
_LIBRARIES = ("site-packages", "dist-packages")
"""Where libraries are, in this environment or in one below it."""


class HandlerInfo(NamedTuple):
    """What a middleware stands around; handlers may declare it as ``handler``."""

    name: str
    """Of the function; empty for a template or another application."""
    rule: str
    step: str | None = None
    """The step that takes the message."""


class HandlerError(Exception):
    """A handler cannot be called, or has returned something that is no reply."""


def name_and_source(function: Callable[..., object]) -> tuple[str, str]:
    """Return the name of a function, and where it is written, for people."""
    inner = inspect.unwrap(function)
    while isinstance(inner, partial):
        inner = inner.func
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    code = getattr(inner, "__code__", None)
    module = getattr(inner, "__module__", "?")
    return name, f"{module}:{code.co_firstlineno} {name}" if code else f"{module} {name}"


def is_of_team(file: str) -> bool:
    """Return whether a file is neither of a library nor of the router."""
    return not file.startswith(_NOT_OF_THE_TEAM) and not any(f"/{name}/" in file for name in _LIBRARIES)


def from_team(error: BaseException) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """Return an error for ``exc_info``, its traceback from the team's first line on."""
    trace = error.__traceback__
    while trace is not None and not is_of_team(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return type(error), error, trace


def is_async(function: Callable[..., object]) -> bool:
    """Return whether calling the function gives a coroutine."""
    called = inspect.getattr_static(type(function), "__call__", None)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def declared_arguments(
    function: Callable[..., object], source: str, known: Collection[str], others: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return the names of ``known`` that the function declares; other parameters must have defaults.

    ``others`` are those of them that the router does not know, which the error names last.

    Raises:
        HandlerError: when an argument cannot be passed; the text names it and the remedy.

    """
    declared = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        by_name = parameter.kind is not parameter.POSITIONAL_ONLY
        if type(parameter.default).__name__ in _INJECTION_MARKERS:
            raise HandlerError(
                f"{source}: {name} has a {type(parameter.default).__name__}(...) of another framework as its"
                f' default; write @provide("{name}") above the function that makes it, and declare {name}'
            )
        if name in _TYPES and _base(parameter.annotation) in _BUILTINS - {_TYPES[name]}:
            raise HandlerError(
                f"{source}: {name} is of the type {_TYPES[name]}, not {_base(parameter.annotation)}"
            )
        is_bound = isinstance(function, partial) and name in function.keywords
        if name in known and by_name and not is_bound:
            declared.append(name)
        elif parameter.default is parameter.empty:
            raise HandlerError(_unknown_argument(source, name, known, others))
    if "http" in declared:
        importlib.import_module("aiohttp")  # now, not while a message waits
    return tuple(declared)


def _base(annotation: object) -> str:
    """Return the name of an annotated type without its arguments."""
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return name.partition("[")[0]


def _unknown_argument(source: str, name: str, known: Collection[str], others: Iterable[str]) -> str:
    if name in known:
        return f"{source}: {name} is passed by name; remove the / from the function's arguments"
    if name == "self":
        return f"{source}: is a method without its object; make it a function or a staticmethod"
    others = tuple(others)
    names = [*(one for one in known if one not in others), *others]
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}? A" if close else "a"
    return f"{source}: the argument {name!r} is unknown; {hint} handler may declare {', '.join(names)}"
