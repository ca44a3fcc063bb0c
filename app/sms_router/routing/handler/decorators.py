"""``@keyword``, ``@step`` and ``@reaction``: the functions that they register, until these are loaded."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar, overload

from sms_router.routing.handler.events import EVENT_KINDS, EventKind

if TYPE_CHECKING:
    from sms_router.routing.handler.reply import Answer

Function = TypeVar("Function", bound="Callable[..., Answer | Awaitable[Answer]]")
"""A type checker refuses a handler that returns anything else, such as a dict."""
EventFunction = TypeVar("EventFunction", bound=Callable[..., Awaitable[None] | None])
Resource = TypeVar("Resource", bound=Callable[..., AsyncIterator[object]])
Provider = TypeVar("Provider", bound=Callable[..., object])
Registered = TypeVar("Registered", bound=Callable[..., object])

EVENT_DEADLINE = 60.0
"""Seconds that a handler may take for an event."""

_ATTRIBUTE = "_sms_router"
"""Of a registered function; ``functools.wraps`` copies it to what stands around the function."""


@dataclass(frozen=True, slots=True)
class KeywordSpec:
    """The arguments of one ``@keyword``."""

    words: tuple[str, ...]
    match: str
    services: tuple[str, ...]
    numbers: tuple[str, ...]
    countries: tuple[str, ...]
    fold_accents: bool
    hours: tuple[Mapping[str, Any], ...] = ()
    opens: str | date | None = None
    closes: str | date | None = None
    opts_in: bool = False
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class StepSpec:
    """The arguments of ``@step``."""

    name: str
    deadline: float | None = None
    was: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DependencySpec:
    """The arguments of ``@lifespan`` and ``@provide``."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class ReactionSpec:
    """The arguments of ``@reaction``."""

    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class DefaultSpec:
    """The arguments of ``@default``."""

    services: tuple[str, ...] = ()
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class EventSpec:
    """The arguments of ``@on``."""

    kinds: tuple[EventKind, ...]
    deadline: float | None = None


Spec = KeywordSpec | StepSpec | ReactionSpec | DefaultSpec | EventSpec | DependencySpec


def keyword(
    *words: str,
    match: str = "first-word",
    services: Sequence[str] = (),
    numbers: Sequence[str] = (),
    countries: Sequence[str] = (),
    fold_accents: bool = False,
    hours: Mapping[str, Any] | Sequence[Mapping[str, Any]] = (),
    opens: str | date | None = None,
    closes: str | date | None = None,
    opts_in: bool = False,
    deadline: float | None = None,
) -> Callable[[Function], Function]:
    """Call a function for messages that match one or more keywords.

    The function is async, or plain, which runs in a thread. It is passed the arguments that it declares,
    by name: ``message``, ``words``, ``argument``, ``keyword``, ``log``, ``conversation``, ``reply``,
    ``http``. It returns a text, a `Reply`, or None for no reply. A function may have several ``@keyword``
    with different arguments.

    Args:
        words: the keywords, for example ``"BALANCE", "BAL"``.
        match: how they match. "first-word": the text begins with the keyword. "whole": the text is the
            keyword. "prefix": the text begins with its letters. "pattern": the whole text matches a
            regular expression (RE2), and ``argument`` is the text of its first group.
        services: sids of the Messaging Services where the keyword applies; none for all.
        numbers: the numbers of ours that must be texted; none for all.
        countries: the countries of the contact (ISO 3166); none for all.
        fold_accents: compare without accents: "información" also matches "informacion".
        hours: when the keyword applies, as ``{"days": ["mon-fri"], "from": "09:00", "to": "17:00"}`` or a
            list of such windows, in the ``time_zone`` of the Service.
        opens: the date, like "2026-12-01", or the local time, like "2026-12-01 09:00", from which it applies.
        closes: the last date, or the local time, until which it applies.
        opts_in: a contact who has opted out and texts the keyword opts in, before the function is called.
        deadline: seconds after which the function is cancelled and has failed. None for no limit: after
            the router's ``inline_deadline`` its reply is sent by REST.

    Raises:
        TypeError: when an argument has the wrong type, or the decorated object is no function.

    """
    if not words or not all(isinstance(word, str) for word in words):
        raise TypeError('@keyword needs its words, as in @keyword("BALANCE", "BAL")')
    for name, values in (("services", services), ("numbers", numbers), ("countries", countries)):
        if isinstance(values, str) or not all(isinstance(value, str) for value in values):
            raise TypeError(f'@keyword: {name} is a list of texts, as in {name}=["..."]')
    windows = (hours,) if isinstance(hours, Mapping) else tuple(hours)
    if not all(isinstance(window, Mapping) for window in windows):
        raise TypeError('@keyword: hours is like {"days": ["mon-fri"], "from": "09:00", "to": "17:00"}')
    _check_deadline("@keyword", deadline)
    scope = tuple(services), tuple(numbers), tuple(countries)
    spec = KeywordSpec(words, match, *scope, fold_accents, windows, opens, closes, opts_in, deadline)
    return lambda function: _register("@keyword", function, spec)


def step(
    name: str, *, was: Sequence[str] = (), deadline: float | None = None
) -> Callable[[Function], Function]:
    """Call a function for the next message of a contact whose reply had ``then``.

    The function is passed the same arguments as that of a `keyword`; ``argument`` is the whole text.

    Args:
        name: the name in ``Reply(then=...)``. It is stored with conversations in progress, so that the
            function may be renamed.
        was: earlier names of the step, under which it is stored with conversations in progress.
        deadline: as in `keyword`.

    Raises:
        TypeError: when an argument has the wrong type, or the decorated object is no function.

    """
    if not isinstance(name, str) or not name.strip():
        raise TypeError('@step needs its name, as in @step("size")')
    if isinstance(was, str) or not all(isinstance(earlier, str) for earlier in was):
        raise TypeError('@step: was is a list of names, as in was=["place"]')
    _check_deadline("@step", deadline)
    spec = StepSpec(name, deadline, tuple(was))
    return lambda function: _register("@step", function, spec)


@overload
def lifespan(name: str) -> Callable[[Resource], Resource]: ...
@overload
def lifespan(name: Resource) -> Resource: ...
def lifespan(name: Any) -> Any:
    """Make a resource when a worker starts, and close it when the worker stops.

    The async function yields the resource once; what stands behind the ``yield`` closes it. It runs in each
    worker, in its event loop, and in no command. Handlers, `provide` functions and middlewares declare the
    resource by its name. The function may declare ``http`` and the resources of functions above it.

    Args:
        name: of the resource; without it, the name of the function.

    """
    return _dependency("lifespan", name)


@overload
def provide(name: str) -> Callable[[Provider], Provider]: ...
@overload
def provide(name: Provider) -> Provider: ...
def provide(name: Any) -> Any:
    """Make a value for each message whose handler, or a middleware around it, declares it by name.

    The function is async or plain. It returns the value, or yields it: what stands behind the ``yield`` runs
    once the reply is accepted, and the error is raised at the ``yield`` where there is none. It may declare
    what a handler may declare, other values and resources.

    Args:
        name: of the value; without it, the name of the function.

    """
    return _dependency("provide", name)


def _dependency(kind: str, name: Any) -> Any:
    if isinstance(name, str) and name.isidentifier():
        return lambda function: _register(f"@{kind}", function, DependencySpec(kind, name))
    if not callable(name):
        raise TypeError(f'@{kind}: the name of an argument, as in @{kind}("database"), not {name!r:.80}')
    return _register(f"@{kind}", name, DependencySpec(kind, getattr(name, "__name__", "")))


@overload
def reaction(function: Function, /) -> Function: ...
@overload
def reaction(*, deadline: float | None = None) -> Callable[[Function], Function]: ...
def reaction(function: Any = None, /, *, deadline: float | None = None) -> Any:
    """Call a function for reactions, such as ``Liked “See you at 9”``; without one they get no reply.

    The function is passed the same arguments as that of a `keyword`, except ``conversation``.
    ``message.reaction`` has the kind, the quoted text, and whether the reaction was taken back; ``keyword``
    is the kind and ``argument`` the quoted text. What it returns is sent.

    Args:
        function: where the decorator has no parentheses.
        deadline: as in `keyword`.

    Raises:
        TypeError: when the deadline has the wrong type, or the decorated object is no function.

    """
    _check_deadline("@reaction", deadline)
    spec = ReactionSpec(deadline)
    if function is None:
        return lambda function: _register("@reaction", function, spec)
    return _register("@reaction", function, spec)


def default(*, services: Sequence[str] = (), deadline: float | None = None) -> Callable[[Function], Function]:
    """Call a function for texts that no rule takes, where ``keywords.toml`` has no ``[default]``.

    The function is passed the same arguments as that of a `keyword`; ``argument`` is the whole text.

    Args:
        services: sids of the Messaging Services for which it is the default; none for all others.
        deadline: as in `keyword`.

    Raises:
        TypeError: when an argument has the wrong type, or the decorated object is no function.

    """
    if isinstance(services, str) or not all(isinstance(service, str) for service in services):
        raise TypeError('@default: services is a list of texts, as in services=["MG..."]')
    _check_deadline("@default", deadline)
    spec = DefaultSpec(tuple(services), deadline)
    return lambda function: _register("@default", function, spec)


def on(*kinds: EventKind, deadline: float = EVENT_DEADLINE) -> Callable[[EventFunction], EventFunction]:
    """Call a function for events, after they are stored: at least once, and not while a message waits for it.

    The function is passed ``event``, ``sms``, ``log``, ``http``, resources and values by name, and returns
    None. If it fails it is called again, after 1, 5, 25 and 125 seconds; then the event is a dead letter.

    Args:
        kinds: "opted_out", "opted_in": a contact came onto the opt-out list, or left it. "delivered",
            "undelivered": a status callback for a message of ours. "expired": a conversation in which a step
            waited. "reaction": a text such as ``Liked “See you at 9”``.
        deadline: seconds after which the function is cancelled and has failed, at most 60.

    Raises:
        TypeError: when an argument is wrong, or the decorated object is no function.

    """
    if not kinds or not set(kinds) <= set(EVENT_KINDS):
        names = ", ".join(f'"{kind}"' for kind in EVENT_KINDS)
        raise TypeError(f"@on: the events are {names}, not {', '.join(map(repr, kinds)) or 'none'}")
    _check_deadline("@on", deadline)
    if deadline > EVENT_DEADLINE:
        raise TypeError(f"@on: deadline is at most {EVENT_DEADLINE:g} seconds")
    spec = EventSpec(kinds, deadline)
    return lambda function: _register("@on", function, spec)


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """A function, what one decorator stores of it, and the modules that were running the decorator."""

    function: Callable[..., object]
    spec: Spec
    namespaces: tuple[dict[str, Any], ...]
    """The globals of each frame of the stack: also of modules that import its module."""


registrations: list[Registration] = []
"""Of this process, in order."""


def specs_of(value: object) -> tuple[Spec, ...]:
    """Return what the decorators of a value store, without calling any code of the value."""
    function = value.__func__ if inspect.ismethod(value) else value
    specs = inspect.getattr_static(function, _ATTRIBUTE, ())
    return specs if isinstance(specs, tuple) else ()


def _register(decorator: str, function: Registered, spec: Spec) -> Registered:
    if not callable(function):
        raise TypeError(f"{decorator} stands above a function")
    frame, namespaces = inspect.currentframe(), dict[int, dict[str, Any]]()
    while frame is not None:
        namespaces[id(frame.f_globals)] = frame.f_globals
        frame = frame.f_back
    registrations.append(Registration(function, spec, tuple(namespaces.values())))
    with contextlib.suppress(AttributeError):  # a bound method or a partial of C code has no attributes
        setattr(function, _ATTRIBUTE, (*specs_of(function), spec))
    return function


def _check_deadline(decorator: str, deadline: object) -> None:
    is_number = isinstance(deadline, int | float) and not isinstance(deadline, bool)
    if deadline is not None and not (is_number and deadline > 0):  # type: ignore[operator]
        raise TypeError(f"{decorator}: deadline is a number of seconds, as in deadline=3")
