"""``@keyword`` and ``@step``: their arguments are stored in the function until it is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., object])

_KEYWORDS_ATTRIBUTE = "_sms_router_keywords"
_STEP_ATTRIBUTE = "_sms_router_step"


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
    deadline: float | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class StepSpec:
    """The arguments of ``@step``."""

    name: str
    deadline: float | None = None


def keyword(
    *words: str,
    match: str = "first-word",
    services: Sequence[str] = (),
    numbers: Sequence[str] = (),
    countries: Sequence[str] = (),
    fold_accents: bool = False,
    hours: Mapping[str, Any] | Sequence[Mapping[str, Any]] = (),
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
    spec = KeywordSpec(words, match, *scope, fold_accents, windows, deadline=deadline)

    def register(function: Function) -> Function:
        _set_attribute("@keyword", function, _KEYWORDS_ATTRIBUTE, (*keywords_of(function), spec))
        return function

    return register


def step(name: str, *, deadline: float | None = None) -> Callable[[Function], Function]:
    """Call a function for the next message of a contact whose reply had ``then``.

    The function is passed the same arguments as that of a `keyword`; ``argument`` is the whole text.

    Args:
        name: the name in ``Reply(then=...)``. It is stored with conversations in progress, so that the
            function may be renamed.
        deadline: as in `keyword`.

    Raises:
        TypeError: when an argument has the wrong type, or the decorated object is no function.

    """
    if not isinstance(name, str) or not name.strip():
        raise TypeError('@step needs its name, as in @step("size")')
    _check_deadline("@step", deadline)

    def register(function: Function) -> Function:
        _set_attribute("@step", function, _STEP_ATTRIBUTE, StepSpec(name, deadline))
        return function

    return register


def keywords_of(value: object) -> tuple[KeywordSpec, ...]:
    """Return the arguments of each ``@keyword`` of a value, without calling any code of the value."""
    function = value.__func__ if inspect.ismethod(value) else value
    specs = inspect.getattr_static(function, _KEYWORDS_ATTRIBUTE, ())
    return specs if isinstance(specs, tuple) else ()


def step_of(value: object) -> StepSpec | None:
    """Return the arguments of the ``@step`` of a value, without calling any code of the value."""
    function = value.__func__ if inspect.ismethod(value) else value
    spec = inspect.getattr_static(function, _STEP_ATTRIBUTE, None)
    return spec if isinstance(spec, StepSpec) else None


def _set_attribute(decorator: str, function: object, name: str, value: object) -> None:
    if not callable(function):
        raise TypeError(f"{decorator} stands above a function")
    try:
        setattr(function, name, value)
    except AttributeError as error:
        raise TypeError(
            f"{decorator} cannot mark {function!r}; write a function that calls it, and mark that"
        ) from error


def _check_deadline(decorator: str, deadline: object) -> None:
    is_number = isinstance(deadline, int | float) and not isinstance(deadline, bool)
    if deadline is not None and not (is_number and deadline > 0):  # type: ignore[operator]
        raise TypeError(f"{decorator}: deadline is a number of seconds, as in deadline=3")
