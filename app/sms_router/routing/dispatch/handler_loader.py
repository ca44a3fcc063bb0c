"""How a team's keyword functions are found: modules and packages, imported by name."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from types import FunctionType, ModuleType
from typing import NamedTuple

from sms_router.routing.dispatch.conversation_steps import ConversationManager, ConversationPolicy
from sms_router.routing.handler.decorators import KeywordSpec, registrations_of, step_of
from sms_router.routing.handler.handler import Handler, HandlerError, Middleware
from sms_router.routing.handler.http_client import HandlerHttpClient
from sms_router.routing.handler.thread_pool import HandlerThreadPool


class HandlerRegistry(NamedTuple):
    """The team's keyword functions: imported once, when the router starts."""

    handlers: list[tuple[KeywordSpec, Handler]]
    errors: list[str]
    conversations: ConversationManager | None = None
    """None when there are no conversations."""

    @classmethod
    def load(
        cls,
        names: Sequence[str],
        threads: HandlerThreadPool,
        middlewares: Sequence[str] = (),
        customs: ConversationPolicy | None = None,
        connections: HandlerHttpClient | None = None,
    ) -> HandlerRegistry:
        """Import the named modules and packages; their mistakes are kept, to be told with all others.

        ``middlewares`` are functions that stand around each function, as ``module:function``, the
        outermost first. ``connections`` are for those that declare ``http``.
        """
        mistakes: list[str] = []
        around = [each for name in middlewares if (each := _middleware(name, mistakes)) is not None]
        modules = {module.__name__: module for name in names for module in _modules(name, mistakes)}
        found: list[tuple[KeywordSpec, Handler]] = []
        steps: dict[str, Handler] = {}
        for function in _marked_functions(modules.values()):
            try:
                handler = Handler.of(function, threads, around, connections)
            except HandlerError as error:
                mistakes.append(str(error))
                continue
            found += [(told, _within(handler, told.deadline)) for told in registrations_of(function)]
            if (step := step_of(function)) is not None:
                if (other := steps.get(step.name)) is not None:
                    mistakes.append(f"{handler.source}: the step {step.name!r} is also at {other.source}")
                steps[step.name] = _within(handler, step.deadline)
        if mistakes:
            return cls([], mistakes)
        handlers = (handler for _, handler in found)
        return cls(found, [], ConversationManager.of(steps, handlers, customs or ConversationPolicy()))


def _within(handler: Handler, deadline: float | None) -> Handler:
    return handler if deadline is None else replace(handler, deadline=deadline)


def _middleware(name: str, mistakes: list[str]) -> Middleware | None:
    """Import one middleware, or note what is wrong with it."""
    place, _, called = name.partition(":")
    if not place or not called:
        mistakes.append(f"middlewares: {name!r} should be a module and a function, as acme.sms:timing")
        return None
    module = _imported(place, mistakes, "middlewares")
    if module is None:
        return None
    function = getattr(module, called, None)
    if not callable(function):
        mistakes.append(f"middlewares: {place} has no function {called!r}")
        return None
    try:
        return Middleware.of(function)
    except HandlerError as error:
        mistakes.append(f"middlewares: {error}")
        return None


def _modules(name: str, mistakes: list[str]) -> Iterator[ModuleType]:
    """Yield a module and, when it is a package, every module in it that is not a program."""
    module = _imported(name, mistakes)
    if module is None:
        return
    yield module
    for inner in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}."):
        if not inner.name.endswith(".__main__"):
            yield from _modules(inner.name, mistakes)


def _imported(name: str, mistakes: list[str], key: str = "handlers") -> ModuleType | None:
    if "/" in name or name.endswith(".py"):
        module = name.removesuffix(".py").strip("./").replace("/", ".")
        mistakes.append(f"{key}: {name} is a file; name it as import does: {module}")
        return None
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        mistakes.append(f"{key}: {name} cannot be imported: {_cause(name, error)}")
        return None


def _cause(name: str, error: BaseException) -> str:
    """Say what went wrong in one line, and where in the team's own files."""
    if isinstance(error, SyntaxError) and error.filename:
        line = f": {error.text.strip()}" if error.text else ""
        return f"{error.msg} ({error.filename}, line {error.lineno}{line})"
    cause = " ".join("".join(traceback.format_exception_only(error)).split())
    if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
        return f"{cause}; install it, or start where its folder is"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen importlib") and not frame.filename.endswith(_IMPORTERS)
    ]
    return f"{cause} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else cause


_IMPORTERS = (
    "importlib/__init__.py",
    "sms_router/routing/dispatch/handler_loader.py",
    "sms_router/routing/handler/decorators.py",
)


def _marked_functions(modules: Iterable[ModuleType]) -> Iterator[Callable[..., object]]:
    """Yield each marked function once, however many modules import it."""
    seen: dict[int, object] = {}
    for module in modules:
        for value in _values(module):
            if callable(value) and _is_marked(value) and id(value) not in seen:
                seen[id(value)] = value
                yield value


def _is_marked(value: object) -> bool:
    return bool(registrations_of(value)) or step_of(value) is not None


def _values(module: ModuleType) -> Iterator[object]:
    """Yield what a module holds, and the methods of the classes written in it."""
    for value in list(vars(module).values()):
        yield value
        if inspect.isclass(value) and value.__module__ == module.__name__:
            for name, inner in vars(value).items():
                if isinstance(inner, staticmethod) and _is_marked(inner):
                    yield inner
                elif isinstance(inner, staticmethod | classmethod | FunctionType):
                    yield getattr(value, name)
