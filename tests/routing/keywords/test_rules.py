"""Where a rule holds, and which of two places is the more specific."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.routing.keywords.rules import MatchContext, Scope
from sms_router.routing.keywords.schedule import Schedule
from tests.routing.rulebook import ANYWHERE, HERE, OTHER_SERVICE, SERVICE, scope

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
OCCASIONS = [
    MatchContext(*where)
    for where in product(("S1", "S2", "S3", None), ("1", "2", "3"), ("US", "CA", None), MINUTES)
]


@pytest.mark.parametrize(
    ("place", "admitted"),
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
def test_a_rule_holds_where_its_scope_says(place: Scope, admitted: bool) -> None:
    assert place.admits(HERE) is admitted


def test_a_scope_does_not_admit_what_is_not_known() -> None:
    assert not scope(countries="US").admits(MatchContext(SERVICE, "12345", None))
    assert not scope(services=SERVICE).admits(MatchContext(None, "12345", "US"))


def test_hours_do_not_hold_where_nobody_knows_the_time() -> None:
    assert not Scope(hours=Schedule(((0, 10_080),))).admits(HERE)


def test_a_number_beats_a_service_which_beats_a_country_which_beats_hours() -> None:
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
    assert [place.specificity for place in ordered] == list(range(16))


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (ANYWHERE, "everywhere"),
        (scope(numbers="2 1"), "number 1 or 2"),
        (scope("MG1", "12345", "US"), "number 12345, Service MG1, country US"),
        (Scope(hours=Schedule.window(["mon-fri"], "09:00", "17:00")), "mon-fri 09:00-17:00"),
    ],
)
def test_a_scope_names_itself(place: Scope, words: str) -> None:
    assert str(place) == words


@given(SCOPES, SCOPES)
def test_covering_and_overlapping_mean_what_they_say(one: Scope, other: Scope) -> None:
    here = {where for where in OCCASIONS if one.admits(where)}
    there = {where for where in OCCASIONS if other.admits(where)}
    assert one.overlaps(other) == bool(here & there)
    assert one.covers(other) == (there <= here)


@given(SCOPES)
def test_a_rule_is_found_from_every_occasion_of_its_scope(place: Scope) -> None:
    assert place.admits(place.example)
    for where in OCCASIONS:
        if place.admits(where):
            assert set(place.index_keys) & set(where.index_keys)
