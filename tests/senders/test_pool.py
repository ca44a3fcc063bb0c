"""The pool's index: what it holds, and that size does not change what a choice costs."""

import sys
import tracemalloc
from types import FrameType
from typing import Any

import pytest

from sms_router.senders.conditions import NO_CONDITIONS, SenderConditions
from sms_router.senders.models import Capability, Sender
from sms_router.senders.pool import Pool
from sms_router.senders.request import NO_FACTS, SelectionRequest
from sms_router.senders.selection import select
from tests.senders.worlds import BOTH, MMS, SMS, pool, request, sender


def big(count: int, *, texting_only: int = 0) -> tuple[Sender, ...]:
    areas = (212, 415, 312, 646, 305, 713, 206, 617, 404, 702)
    return tuple(
        sender(f"+1{areas[index % 10]}{2000000 + index * 7}", can=SMS if index < texting_only else BOTH)
        for index in range(count)
    )


def steps(pool: Pool, request: SelectionRequest, now: SenderConditions = NO_CONDITIONS) -> int:
    """How many function calls one selection makes: a cost that no busy machine changes."""
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        select(pool, request, NO_FACTS, now)
    finally:
        sys.setprofile(None)
    return calls


def test_addresses_are_found_and_shared_digits_are_told_apart() -> None:
    american, canadian = sender("12345", "US"), sender("12345", "CA")
    held = pool(american, canadian, sender("+14155550001"))
    assert held.holds("12345")
    assert held.holds("+14155550001")
    assert not held.holds("+14155550002")
    assert held.find("12345", "CA") == canadian
    assert held.find("12345", "US") == american
    assert held.find("+14155550001", "CA") == sender("+14155550001")
    assert held.find("99999", "US") is None


def test_replicas_agree_on_shared_digits_when_no_country_is_known() -> None:
    american, canadian = sender("12345", "US"), sender("12345", "CA")
    assert pool(american, canadian).find("12345", None) == pool(canadian, american).find("12345", None)


def test_pools_of_one_version_are_equal_whatever_was_asked_of_them() -> None:
    once, again = pool(sender("12345")), pool(sender("12345"))
    select(once, request())
    assert once == again


@pytest.mark.parametrize("needs", [SMS, MMS, BOTH])
def test_ten_thousand_senders_cost_what_ten_do(needs: Capability) -> None:
    asked = request("+442079460000", "GB", needs=needs)
    few, many = Pool("MG", 1, big(10)), Pool("MG", 1, big(10_000))
    select(few, asked), select(many, asked)
    assert steps(many, asked) == steps(few, asked)


@pytest.mark.parametrize("free", [0, 1])
def test_ten_thousand_senders_at_their_limits_do_not_make_a_choice_dear(free: int) -> None:
    asked = request("+442079460000", "GB")
    few, many = big(1000), big(10_000)
    costs = []
    for senders in (few, many):
        held = Pool("MG", 1, senders)
        now = SenderConditions(capped={each.sid: "has sent its 200 of today" for each in senders[free:]})
        select(held, asked, NO_FACTS, now)
        costs.append(steps(held, asked, now))
    assert costs[1] < costs[0] * 1.5


def test_what_is_against_others_costs_a_remembered_choice_two_look_ups() -> None:
    asked = request()
    held = pool(sender("12345"), *big(10))
    select(held, asked)
    now = SenderConditions(cordoned={each.sid: "cordoned" for each in big(10)}, used={"PN": 1.0})
    assert steps(held, asked, now) - steps(held, asked) <= 8


@pytest.mark.slow
def test_ten_thousand_senders_take_less_than_ten_megabytes() -> None:
    select(pool(sender("12345")), request())
    tracemalloc.start()
    try:
        many = Pool("MG", 1, big(10_000, texting_only=3_000))
        for country in ("US", "CA", "GB", None):
            select(many, request(country=country))
        assert tracemalloc.get_traced_memory()[0] < 10_000_000
    finally:
        tracemalloc.stop()


def test_countries_that_do_not_exist_do_not_fill_the_memory() -> None:
    held = pool(sender("+14155550001"))
    first = held.lineup("US", SMS)
    for number in range(2000):
        held.lineup(f"X{number}", SMS)
    assert len(held._lineups) <= 512
    assert held.lineup("US", SMS) == first
