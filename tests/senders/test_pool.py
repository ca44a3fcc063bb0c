"""The pool's index: what it holds, and that size does not change what a choice costs."""

import sys
import tracemalloc
from types import FrameType
from typing import Any

import pytest

from app.senders.pool import Pool
from app.senders.request import Request
from app.senders.selection import select
from app.senders.sender import Capability, Sender
from tests.senders.worlds import BOTH, MMS, SMS, pool, request, sender


def big(count: int, *, texting_only: int = 0) -> tuple[Sender, ...]:
    areas = (212, 415, 312, 646, 305, 713, 206, 617, 404, 702)
    return tuple(
        sender(f"+1{areas[index % 10]}{2000000 + index * 7}", can=SMS if index < texting_only else BOTH)
        for index in range(count)
    )


def steps(pool: Pool, request: Request) -> int:
    """How many function calls one selection makes: a cost that no busy machine changes."""
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        select(pool, request)
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
