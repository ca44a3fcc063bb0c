"""``@keyword`` and ``@step``: the arguments that they store in a function, and those that they reject."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sms_router import keyword, on, step
from sms_router.routing.handler.decorators import KeywordSpec, StepSpec, specs_of


def test_a_decorated_function_is_unchanged() -> None:
    def hours() -> str:
        return "9 to 5"

    assert keyword("HOURS")(hours) is hours
    assert hours() == "9 to 5"


def test_every_argument_is_stored() -> None:
    @keyword(
        "HOURS",
        "OPEN",
        match="whole",
        services=["MG1"],
        numbers=["12345"],
        countries=["US"],
        fold_accents=True,
    )
    def hours() -> None: ...

    expected = KeywordSpec(("HOURS", "OPEN"), "whole", ("MG1",), ("12345",), ("US",), True)
    assert specs_of(hours) == (expected,)


def test_a_function_may_have_several_keywords() -> None:
    @keyword("A", countries=["US"])
    @keyword("B", countries=["CA"])
    def both() -> None: ...

    assert [spec.words for spec in specs_of(both) if isinstance(spec, KeywordSpec)] == [("B",), ("A",)]


@pytest.mark.parametrize(
    ("mistake", "reason"),
    [
        (keyword, "needs its words"),
        (lambda: keyword(lambda: "text"), "needs its words"),  # type: ignore[arg-type]
        (lambda: keyword("A", services="MG1"), "services is a list"),
        (lambda: keyword("A", numbers=[12345]), "numbers is a list"),  # type: ignore[list-item]
        (lambda: keyword("A", deadline=0), "deadline is a number of seconds"),
        (lambda: keyword("A", deadline="3"), "deadline is a number"),  # type: ignore[arg-type]
        (lambda: keyword("A")("text"), "above a function"),  # type: ignore[type-var]
        (lambda: step("A", was="B"), "was is a list"),
        (on, '@on: the events are "opted_out", "opted_in", .* not none'),
        (lambda: on("stopped"), "not 'stopped'"),  # type: ignore[arg-type]
        (lambda: on("expired", deadline=61), "at most 60 seconds"),
    ],
)
def test_a_wrong_argument_is_refused(mistake: Callable[[], Any], reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        mistake()


class Raising:
    """Raises on every attribute, as some lazy objects do."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


def test_other_values_have_no_keywords_and_none_of_their_code_is_called() -> None:
    for value in (Raising(), 5, None, object(), Raising, print):
        assert specs_of(value) == ()


def test_a_step_stores_its_name() -> None:
    @step("size", deadline=3, was=["place"])
    def size() -> None: ...

    assert specs_of(size) == (StepSpec("size", 3, ("place",)),)


@pytest.mark.parametrize("name", ["", " ", print])
def test_a_step_without_a_name_is_refused(name: Any) -> None:
    with pytest.raises(TypeError, match="needs its name"):
        step(name)
