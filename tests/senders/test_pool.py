"""The pool's index, and that the size of a pool does not change the cost of a choice."""

import sys
import tracemalloc
from types import FrameType
from typing import Any

import pytest

from sms_router.senders.hash_ring import HashRing
from sms_router.senders.models import (
    NO_CONDITIONS,
    NO_FACTS,
    Capability,
    SelectionRequest,
    Sender,
    SenderConditions,
)
from sms_router.senders.pool import Pool, find_pool
from sms_router.senders.selection import select
from tests.senders.builders import BOTH, MMS, NONE, SMS, pool, request, sender


def long_codes(count: int, *, without_mms: int = 0) -> tuple[Sender, ...]:
    areas = (212, 415, 312, 646, 305, 713, 206, 617, 404, 702)
    return tuple(
        sender(f"+1{areas[index % 10]}{2000000 + index * 7}", can=SMS if index < without_mms else BOTH)
        for index in range(count)
    )


def calls(pool: Pool, request: SelectionRequest, conditions: SenderConditions = NO_CONDITIONS) -> int:
    """Count the function calls of one selection: a cost that does not depend on the machine's load."""
    number = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal number
        number += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        select(pool, request, NO_FACTS, conditions)
    finally:
        sys.setprofile(None)
    return number


def test_find_returns_the_sender_of_the_country_when_two_share_their_digits() -> None:
    american, canadian = sender("12345", "US"), sender("12345", "CA")
    indexed = pool(american, canadian, sender("+14155550001"))
    assert indexed.holds("12345")
    assert indexed.holds("+14155550001")
    assert not indexed.holds("+14155550002")
    assert indexed.find("12345", "CA") == canadian
    assert indexed.find("12345", "US") == american
    assert indexed.find("+14155550001", "CA") == sender("+14155550001")
    assert indexed.find("12345", "GB") == canadian
    assert indexed.find("99999", "US") is None


def test_replicas_agree_on_shared_digits_when_no_country_is_known() -> None:
    american, canadian = sender("12345", "US"), sender("12345", "CA")
    assert pool(american, canadian).find("12345", None) == pool(canadian, american).find("12345", None)


def test_pools_of_one_version_stay_equal_after_a_selection() -> None:
    once, again = pool(sender("12345")), pool(sender("12345"))
    select(once, request())
    assert once == again


def test_of_equal_senders_the_first_128_on_the_contacts_ring_are_examined() -> None:
    senders = long_codes(200)
    indexed, ring = Pool("MG", 1, senders), list(HashRing(senders).iter_from("+442079460000"))
    reply = request("+442079460000", "GB")
    chosen = []
    for full in (127, 128):
        capped = {each.sid: "at its daily cap: 200 segments" for each in ring[:full]}
        chosen.append(select(indexed, reply, NO_FACTS, SenderConditions(capped=capped)).sender)
    assert chosen == [ring[127], None]


@pytest.mark.parametrize("country", ["US", "GB"])
@pytest.mark.parametrize("can", [NONE, SMS])
def test_a_trail_lists_eight_skipped_senders_of_a_kind(country: str, can: Capability) -> None:
    names = [sender(f"ACME{number}", None, can=can) for number in range(10)]
    trail = select(pool(*names, sender("+14155550001")), request(country=country)).trail
    assert [candidate.address[:4] for candidate in trail] == ["ACME"] * 8 + ["+141"]


@pytest.mark.parametrize("needs", [SMS, MMS, BOTH])
def test_ten_thousand_senders_cost_what_ten_do(needs: Capability) -> None:
    reply = request("+442079460000", "GB", needs=needs)
    few, many = Pool("MG", 1, long_codes(10)), Pool("MG", 1, long_codes(10_000))
    select(few, reply), select(many, reply)
    assert calls(many, reply) == calls(few, reply)


@pytest.mark.parametrize("free", [0, 1])
def test_ten_thousand_senders_at_their_limits_cost_what_a_thousand_do(free: int) -> None:
    reply = request("+442079460000", "GB")
    few, many = long_codes(1000), long_codes(10_000)
    costs = []
    for senders in (few, many):
        indexed = Pool("MG", 1, senders)
        capped = {each.sid: "at its daily cap: 200 segments" for each in senders[free:]}
        select(indexed, reply, NO_FACTS, SenderConditions(capped=capped))
        costs.append(calls(indexed, reply, SenderConditions(capped=capped)))
    assert costs[1] < costs[0] * 1.5


def test_conditions_of_other_senders_cost_a_choice_a_few_look_ups() -> None:
    senders = pool(sender("12345"), *long_codes(10))
    select(senders, request())
    cordoned = {long_code.sid: "cordoned" for long_code in long_codes(10)}
    conditions = SenderConditions(cordoned=cordoned, used={"PN": 1.0})
    assert calls(senders, request(), conditions) - calls(senders, request()) <= 8


@pytest.mark.slow
def test_ten_thousand_senders_take_less_than_ten_megabytes() -> None:
    select(pool(sender("12345")), request())
    tracemalloc.start()
    try:
        many = Pool("MG", 1, long_codes(10_000, without_mms=3_000))
        for country in ("US", "CA", "GB", None):
            select(many, request(country=country))
        assert tracemalloc.get_traced_memory()[0] < 10_000_000
    finally:
        tracemalloc.stop()


def test_the_groups_of_unknown_countries_are_bounded() -> None:
    indexed = pool(sender("+14155550001"))
    first = indexed.groups_for("US", SMS)
    for number in range(2000):
        indexed.groups_for(f"X{number}", SMS)
    assert len(indexed._groups) <= 512
    assert indexed.groups_for("US", SMS) == first


@pytest.mark.parametrize(
    ("service_sid", "texted", "expected"),
    [
        ("MG1", "12345", "MG1"),
        ("MG2", "12345", "MG2"),
        (None, "12345", "MG1"),
        (None, "+14155550001", "MG2"),
        ("MG9", "+14155550001", "MG2"),
        ("MG9", "+19995550000", None),
        (None, "+19995550000", None),
    ],
)
def test_a_pool_is_found_by_its_service_else_by_the_texted_number(
    service_sid: str | None, texted: str, expected: str | None
) -> None:
    pools = {"MG1": Pool("MG1", 1, (sender("12345"),)), "MG2": Pool("MG2", 1, (sender("+14155550001"),))}
    found = find_pool(pools, service_sid, texted)
    assert (found and found.service_sid) == expected
