"""What ``@keyword`` takes, and what it leaves on a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sms_router import keyword
from sms_router.routing.handler.decorators import KeywordSpec, registrations_of


def test_a_function_stays_what_it_was() -> None:
    def hours() -> str:
        return "9 to 5"

    assert keyword("HOURS")(hours) is hours
    assert hours() == "9 to 5"


def test_everything_that_was_told_is_kept() -> None:
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
    assert registrations_of(hours) == (expected,)


def test_a_function_may_have_several() -> None:
    @keyword("A", countries=["US"])
    @keyword("B", countries=["CA"])
    def both() -> None: ...

    assert [each.words for each in registrations_of(both)] == [("B",), ("A",)]


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (keyword, "needs its words"),
        (lambda: keyword(lambda: "text"), "needs its words"),  # type: ignore[arg-type]
        (lambda: keyword("A", services="MG1"), "services is a list"),
        (lambda: keyword("A", numbers=[12345]), "numbers is a list"),  # type: ignore[list-item]
        (lambda: keyword("A", deadline=0), "deadline is a number of seconds"),
        (lambda: keyword("A", deadline="3"), "deadline is a number"),  # type: ignore[arg-type]
        (lambda: keyword("A")("text"), "above a function"),  # type: ignore[type-var]
        (lambda: keyword("A")("text".upper), "write a function that calls it"),
    ],
)
def test_a_mistake_is_told_where_it_is_written(mistake: Callable[[], Any], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        mistake()


class Awkward:
    """Answers every question about itself with an error, as some lazy objects do."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


def test_other_values_have_none_and_are_not_woken_up() -> None:
    for value in (Awkward(), 5, None, object(), Awkward, print):
        assert registrations_of(value) == ()
