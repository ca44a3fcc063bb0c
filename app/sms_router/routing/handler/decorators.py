"""``@keyword`` and ``@step``: what a team writes above a function, kept until the function is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., object])

_MARK = "_sms_router_keywords"
_STEP = "_sms_router_step"


@dataclass(frozen=True, slots=True)
class KeywordSpec:
    """What ``@keyword`` was told."""

    words: tuple[str, ...]
    match: str
    services: tuple[str, ...]
    numbers: tuple[str, ...]
    countries: tuple[str, ...]
    fold_accents: bool
    hours: tuple[Mapping[str, Any], ...] = ()
    deadline: float | None = field(default=None, kw_only=True)


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
    """Make a function the answer to one or more keywords.

    The function may be async or plain (plain ones run in threads), and is given what it declares
    by name: ``message``, ``words``, ``argument``, ``keyword``, ``log``, ``conversation``, ``reply``,
    ``http``. It returns a text, a `Reply`, or nothing.

    Args:
        words: the keywords, for example ``"BALANCE", "BAL"``.
        match: "whole" (the text is the keyword), "first-word", "prefix", or "pattern" (the text fits
            a regular expression; ``argument`` is what its first group caught).
        services: Messaging Service sids where the keyword counts; none means everywhere.
        numbers: numbers that must have been texted; none means any.
        countries: countries of the sender (ISO 3166); none means any.
        fold_accents: whether "información" also matches "informacion".
        hours: when it counts, as in ``{"days": ["mon-fri"], "from": "09:00", "to": "17:00"}``, or several
            of these; the Service's ``time_zone`` says by which clock.
        deadline: seconds after which the function is cancelled and has failed; None lets it go on after
            the router's own deadline, and what it says then leaves later.

    Raises:
        TypeError: when what it stands above cannot be marked, or an argument is not what it should be.

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
    registration = KeywordSpec(words, match, *scope, fold_accents, windows, deadline=deadline)

    def register(function: Function) -> Function:
        if not callable(function):
            raise TypeError("@keyword stands above a function")
        try:
            setattr(function, _MARK, (*registrations_of(function), registration))
        except AttributeError as error:
            raise TypeError(
                f"@keyword cannot mark {function!r}; write a function that calls it, and mark that"
            ) from error
        return function

    return register


@dataclass(frozen=True, slots=True)
class StepSpec:
    """What ``@step`` was told."""

    name: str
    deadline: float | None = None


def step(name: str, *, deadline: float | None = None) -> Callable[[Function], Function]:
    """Make a function take the next message of somebody who was answered with ``Reply(..., then=...)``.

    It is given what a keyword's function is, ``conversation`` above all; ``argument`` is the text.

    Args:
        name: what ``then`` calls it; conversations under way remember it, so it outlives the function's name.
        deadline: as of `keyword`.

    Raises:
        TypeError: when what it stands above cannot be marked, or an argument is not what it should be.

    """
    if not isinstance(name, str) or not name.strip():
        raise TypeError('@step needs its name, as in @step("size")')
    _check_deadline("@step", deadline)

    def register(function: Function) -> Function:
        if not callable(function):
            raise TypeError("@step stands above a function")
        try:
            setattr(function, _STEP, StepSpec(name, deadline))
        except AttributeError as error:
            raise TypeError(
                f"@step cannot mark {function!r}; write a function that calls it, and mark that"
            ) from error
        return function

    return register


def step_of(value: object) -> StepSpec | None:
    """Return what ``@step`` left on a value."""
    marked = value.__func__ if inspect.ismethod(value) else value
    mark = inspect.getattr_static(marked, _STEP, None)
    return mark if isinstance(mark, StepSpec) else None


def step_name(then: object) -> str:
    """Return the name of a step that is named, or given as its function.

    Raises:
        TypeError: when it is neither.

    """
    if isinstance(then, str):
        return then
    found = step_of(then)
    if found is None:
        raise TypeError(f"Reply: then is a step's name or a function below @step, not {then!r:.80}")
    return found.name


def _check_deadline(decorator: str, deadline: object) -> None:
    numeric = isinstance(deadline, int | float) and not isinstance(deadline, bool)
    if deadline is not None and not (numeric and deadline > 0):  # type: ignore[operator]
        raise TypeError(f"{decorator}: deadline is a number of seconds, as in deadline=3")


def registrations_of(value: object) -> tuple[KeywordSpec, ...]:
    """Return what ``@keyword`` left on a value; whatever else the value is, it is not woken up."""
    marked = value.__func__ if inspect.ismethod(value) else value
    marks = inspect.getattr_static(marked, _MARK, ())
    return marks if isinstance(marks, tuple) else ()
