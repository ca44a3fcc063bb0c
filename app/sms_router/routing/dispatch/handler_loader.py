"""Imports the modules and packages of a team, and finds its handlers in them."""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import FunctionType, ModuleType

from sms_router.routing.dispatch.conversation_steps import ConversationManager, ConversationPolicy
from sms_router.routing.handler.decorators import (
    DefaultSpec,
    DependencySpec,
    EventSpec,
    KeywordSpec,
    ReactionSpec,
    Spec,
    StepSpec,
    registrations,
    specs_of,
)
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.handler import Handler, Middleware, names_passed_on
from sms_router.routing.handler.inspection import HandlerError, from_team, is_of_team

log = logging.getLogger("sms_router.dispatch")

MiddlewareName = str | tuple[str, bool]
"""``module:function``, and whether it stands around templates and other applications too."""


@dataclass(slots=True, eq=False)
class HandlerRegistry:
    """A team's handlers, imported once, when the router starts."""

    handlers: list[tuple[KeywordSpec, Handler]]
    errors: list[str]
    conversations: ConversationManager | None = None
    """None where no handler has a conversation."""
    for_all: tuple[Middleware, ...] = ()
    """The middlewares that stand around templates and other applications too."""
    environment: HandlerEnvironment | None = None
    on_reaction: Handler | None = None
    defaults: dict[str | None, Handler] = field(default_factory=dict)
    """By the sid of the Service; under None that of all others."""
    on: dict[str, list[Handler]] = field(default_factory=dict)
    """The handlers of events, by kind."""

    @classmethod
    def load(
        cls,
        names: Sequence[str],
        environment: HandlerEnvironment | None = None,
        middlewares: Sequence[MiddlewareName] = (),
        policy: ConversationPolicy | None = None,
    ) -> HandlerRegistry:
        """Import modules and packages; their mistakes are returned, not raised.

        The environment gets the resources and values that they define. ``middlewares`` are functions around
        each handler, the outermost first.
        """
        environment = environment or HandlerEnvironment()
        registry, steps = cls([], [], environment=environment), dict[str, Handler]()
        mistakes = registry.errors
        around = [loaded for name in middlewares if (loaded := _middleware(name, mistakes)) is not None]
        modules = {module.__name__: module for name in names for module in _modules(name, mistakes)}
        modules |= {module.__name__: module for _, module, _ in around}
        registered = list(_registered_functions(modules.values()))
        for function, _, _ in around:
            environment.passed_on.update(names_passed_on(function))
        mistakes += environment.add(
            (spec.kind, spec.name, function)
            for function, specs in registered
            for spec in specs
            if isinstance(spec, DependencySpec)
        )
        chain: list[Middleware] = []
        for function, _, is_for_all in around:
            try:
                chain.append(Middleware.of(function, environment, is_for_all=is_for_all))
            except HandlerError as error:
                mistakes.append(f"middlewares: {error}")
        for function, spec in ((function, spec) for function, specs in registered for spec in specs):
            if isinstance(spec, DependencySpec):
                continue
            is_for_events = isinstance(spec, EventSpec)
            try:
                handler = Handler.of(function, environment, chain, is_for_events=is_for_events)
            except HandlerError as error:
                mistakes += [str(error)] if str(error) not in mistakes else []
                continue
            if spec.deadline is not None:
                handler = replace(handler, deadline=spec.deadline)
            mistakes += registry._add(spec, handler, steps)
        if mistakes:
            return cls([], mistakes)
        functions = [*(handler for _, handler in registry.handlers), *registry.defaults.values()]
        if steps or any(handler.needs_conversation for handler in functions):
            registry.conversations = ConversationManager(
                steps, policy or ConversationPolicy(), has_timers="expired" in registry.on
            )
        registry.for_all = tuple(middleware for middleware in chain if middleware.is_for_all)
        return registry

    def _add(self, spec: Spec, own: Handler, steps: dict[str, Handler]) -> Iterator[str]:
        """Add a handler for what one decorator registers, and yield the mistakes."""
        match spec:
            case EventSpec(kinds):
                for kind in kinds:
                    self.on.setdefault(kind, []).append(own)
            case KeywordSpec():
                self.handlers.append((spec, own))
            case ReactionSpec():
                self.on_reaction = self.on_reaction or own
                if self.on_reaction is not own:
                    yield f"{own.source}: @reaction is also at {self.on_reaction.source}"
                if own.needs_conversation:
                    yield f"{own.source}: a reaction belongs to no conversation; do not declare it"
            case DefaultSpec(services):
                for sid in services or (None,):
                    if (other := self.defaults.setdefault(sid, own)) is not own:
                        yield f"{own.source}: @default is also at {other.source}"
            case StepSpec(name, _, was):
                for step in (name, *was):
                    if (other := steps.setdefault(step, own)) is not own:
                        yield f"{own.source}: the step {step!r} is also at {other.source}"


def _middleware(
    named: MiddlewareName, mistakes: list[str]
) -> tuple[Callable[..., object], ModuleType, bool] | None:
    """Import one middleware, or add a mistake."""
    name, is_for_all = named if isinstance(named, tuple) else (named, False)
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        mistakes.append(f"middlewares: {name!r} should be a module and a function, as acme.sms:timing")
        return None
    if (module := _import(module_name, mistakes, "middlewares")) is None:
        return None
    function = getattr(module, function_name, None)
    if not callable(function):
        mistakes.append(f"middlewares: {module_name} has no function {function_name!r}")
        return None
    return function, module, is_for_all


def _modules(name: str, mistakes: list[str]) -> Iterator[ModuleType]:
    """Yield a module and, of a package, every module in it but ``__main__``."""
    if (module := _import(name, mistakes)) is None:
        return
    yield module
    for inner in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}."):
        if not inner.name.endswith(".__main__"):
            yield from _modules(inner.name, mistakes)


def _import(name: str, mistakes: list[str], key: str = "handlers") -> ModuleType | None:
    if "/" in name or name.endswith(".py"):
        module = name.removesuffix(".py").strip("./").replace("/", ".")
        mistakes.append(f"{key}: {name} is a file; name it as import does: {module}")
        return None
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit, GeneratorExit) as error:
        if log.isEnabledFor(logging.DEBUG):  # serve --dev
            log.error("%s cannot be imported", name, exc_info=from_team(error))
        mistakes.append(f"{key}: {name} cannot be imported: {_cause(name, error)}")
        return None


def _cause(name: str, error: BaseException) -> str:
    """Return in one line what went wrong, and where in the team's own files."""
    if isinstance(error, SyntaxError) and error.filename:
        line = f": {error.text.strip()}" if error.text else ""
        return f"{error.msg} ({error.filename}, line {error.lineno}{line})"
    cause = " ".join("".join(traceback.format_exception_only(error)).split())
    if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
        return f"{cause}; install it, or start where its folder is"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_of_team(frame.filename)]
    return f"{cause} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else cause


def _registered_functions(
    modules: Iterable[ModuleType],
) -> Iterator[tuple[Callable[..., object], Sequence[Spec]]]:
    """Yield each function that was registered while one of the modules was imported, with its decorators.

    What a module has around a function, with ``functools.wraps``, or as the method of a class, is taken in
    place of the function.
    """
    modules = tuple(modules)
    namespaces = {id(vars(module)) for module in modules}
    found: dict[int, tuple[Callable[..., object], Spec]] = {}
    """By the id of what a decorator says."""
    for module in modules:
        for value in _values(module):
            if callable(value):
                found |= {id(spec): (value, spec) for spec in specs_of(value) if id(spec) not in found}
    for registration in registrations:
        if not namespaces.isdisjoint(map(id, registration.namespaces)):
            found.setdefault(id(registration.spec), (registration.function, registration.spec))
    grouped: dict[int, tuple[Callable[..., object], list[Spec]]] = {}
    for function, spec in found.values():
        grouped.setdefault(id(function), (function, []))[1].append(spec)
    yield from grouped.values()


def _values(module: ModuleType) -> Iterator[object]:
    """Yield the attributes of a module, and the methods of its own classes."""
    for value in list(vars(module).values()):
        yield value
        if inspect.isclass(value) and value.__module__ == module.__name__:
            for name, inner in vars(value).items():
                if isinstance(inner, staticmethod) and specs_of(inner):
                    yield inner
                elif isinstance(inner, staticmethod | classmethod | FunctionType):
                    yield getattr(value, name)
