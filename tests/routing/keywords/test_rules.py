"""Scopes: which contexts they admit, and which of two is more specific."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.routing.keywords.rules import MatchContext, Scope
from sms_router.routing.keywords.schedule import Schedule
from tests.routing.rules import ANYWHERE, HERE, OTHER_SERVICE, SERVICE, scope

SCOPES = st.builds(
    Scope,
    services=st.frozensets(st.sampled_from(["S1", "S2"])),
    numbers=st.frozensets(st.sampled_from(["1", "2"])),
    countries=st.frozensets(st.sampled_from(["US", "CA"])),
    hours=st.sampled_from(
        [Schedule(), Schedule(((0, 60),)), Schedule(((30, 90), (120, 180))), Schedule(((0, 10_080),))]
    ),
)
MINUTES = (0, 29, 30, 59, 60, 89, 90, 120, 180, 10_079)
CONTEXTS = [
    MatchContext(*context)
    for context in product(("S1", "S2", "S3", None), ("1", "2", "3"), ("US", "CA", None), MINUTES)
]


@pytest.mark.parametrize(
    ("scope_", "admitted"),
    [
        (ANYWHERE, True),
        (scope(services=SERVICE), True),
        (scope(services=OTHER_SERVICE), False),
        (scope(numbers="12345 54321"), True),
        (scope(numbers="54321"), False),
        (scope(countries="US CA"), True),
        (scope(countries="CA"), False),
        (scope(SERVICE, "12345", "US"), True),
        (scope(SERVICE, "12345", "CA"), False),
        (scope(OTHER_SERVICE, "12345", "US"), False),
    ],
)
def test_a_scope_admits_the_contexts_that_fit_all_its_restrictions(scope_: Scope, admitted: bool) -> None:
    assert scope_.admits(HERE) is admitted


def test_a_restricted_scope_does_not_admit_an_unknown_value() -> None:
    assert not scope(countries="US").admits(MatchContext(SERVICE, "12345", None))
    assert not scope(services=SERVICE).admits(MatchContext(None, "12345", "US"))


def test_hours_do_not_admit_a_context_without_a_minute() -> None:
    assert not Scope(hours=Schedule(((0, 10_080),))).admits(HERE)


def test_a_number_is_more_specific_than_a_service_than_a_country_than_hours() -> None:
    hours = Schedule(((0, 60),))
    ordered = [
        Scope(services, numbers, countries, when)
        for numbers, services, countries, when in product(
            (frozenset[str](), frozenset({"12345"})),
            (frozenset[str](), frozenset({SERVICE})),
            (frozenset[str](), frozenset({"US"})),
            (Schedule(), hours),
        )
    ]
    assert [scope_.specificity for scope_ in ordered] == list(range(16))


@pytest.mark.parametrize(
    ("scope_", "description"),
    [
        (ANYWHERE, "everywhere"),
        (scope(numbers="2 1"), "number 1 or 2"),
        (scope("MG1", "12345", "US"), "number 12345, Service MG1, country US"),
        (Scope(hours=Schedule.window(["mon-fri"], "09:00", "17:00")), "mon-fri 09:00-17:00"),
    ],
)
def test_a_scope_describes_its_restrictions(scope_: Scope, description: str) -> None:
    assert str(scope_) == description


@given(SCOPES, SCOPES)
def test_covers_and_overlaps_agree_with_the_admitted_contexts(one: Scope, other: Scope) -> None:
    of_one = {context for context in CONTEXTS if one.admits(context)}
    of_other = {context for context in CONTEXTS if other.admits(context)}
    assert one.overlaps(other) == bool(of_one & of_other)
    assert one.covers(other) == (of_other <= of_one)


@given(SCOPES)
def test_every_admitted_context_has_an_index_key_of_the_scope(scope_: Scope) -> None:
    assert scope_.admits(scope_.example)
    for context in CONTEXTS:
        if scope_.admits(context):
            assert set(scope_.index_keys) & set(context.index_keys)
