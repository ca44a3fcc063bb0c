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
    ReplyFrom,
    SelectionRequest,
    Sender,
    SenderConditions,
    Tenancy,
)
from sms_router.senders.pool import Pool, find_pool, own_numbers
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


SERVICE, OTHER_SERVICE = "MG1", "MG2"


@pytest.mark.parametrize(
    ("account", "service", "number", "is_foreign"),
    [
        ("AC1", SERVICE, "12345", False),
        ("AC1", None, "12345", False),
        ("AC1", OTHER_SERVICE, "12345", True),
        ("AC1", SERVICE, "67890", True),
        ("AC1", "MG3", "55555", False),
        ("AC2", SERVICE, "55555", True),
        ("AC2", OTHER_SERVICE, "67890", False),
        ("AC3", None, "67890", True),
        ("AC3", None, "55555", False),
    ],
)
def test_a_service_and_a_number_belong_to_their_account(
    account: str, service: str | None, number: str, is_foreign: bool
) -> None:
    tenancy = Tenancy({SERVICE: "AC1", OTHER_SERVICE: "AC2"}, {"12345": "AC1", "67890": "AC2"})
    assert tenancy.is_foreign(account, service, number) is is_foreign


def test_the_addresses_of_all_pools_are_ours() -> None:
    pools = {"MG1": pool(sender("12345"), sender("12345", "CA")), "MG2": pool(sender("+14155550001"))}
    assert own_numbers(pools) == {"12345", "+14155550001"}


def test_a_pool_has_an_order_for_each_country_and_need() -> None:
    american, british, media = sender("+14155550001"), sender("+447400000007", "GB"), sender("12345", can=MMS)
    indexed = pool(american, british, media)
    chosen = [
        select(indexed, request("+447400123456", "GB")).sender,
        select(indexed, request()).sender,
        select(indexed, request(needs=MMS)).sender,
    ]
    assert chosen == [british, american, media]


def test_senders_of_one_capability_each_serve_their_own_replies() -> None:
    texts, media = sender("+14155550001", can=SMS), sender("+14155550002", can=MMS)
    both = pool(texts, media)
    assert [select(both, request(needs=needs)).sender for needs in (SMS, MMS)] == [texts, media]


def test_of_equal_digits_those_of_the_contacts_country_are_used() -> None:
    both = pool(sender("12345", "US"), sender("12345", "CA"))
    same = select(both, request(policy=ReplyFrom.SAME_NUMBER)).sender
    named = select(both, request(texted="+14155550001", preferred="12345")).sender
    assert same == named == sender("12345", "US")


LONG, FREE = "+12125550003", "+18885550010"


@pytest.mark.parametrize(
    ("senders", "country", "unusable", "trail"),
    [
        ([sender(LONG)], "US", [], [(LONG, "long code of US, the contact's country")]),
        ([sender(FREE)], "US", [], [(FREE, "toll-free number of US, the contact's country")]),
        (
            [sender(FREE, "CA")],
            "CA",
            [],
            [(FREE, "toll-free number of CA, the contact's country; in Canada before long codes")],
        ),
        (
            [sender("+16135550005", "CA")],
            "CA",
            [],
            [("+16135550005", "long code of CA, the contact's country")],
        ),
        ([sender(LONG)], None, [], [(LONG, "long code of US, the contact's country is unknown")]),
        ([sender(LONG)], "GB", [], [(LONG, "long code of US, none of GB is available")]),
        (
            [sender("+447400000007", "GB"), sender("+33600000009", "FR")],
            "GB",
            ["+447400000007/GB"],
            [
                ("+447400000007", "cordoned"),
                ("+33600000009", "long code of another country, none of GB is available"),
            ],
        ),
        ([sender("+447400000007", "GB")], "GB", ["+447400000007/GB"], [("+447400000007", "cordoned")]),
        (
            [sender(LONG, can=MMS), sender(FREE)],
            "US",
            [],
            [(LONG, "cannot send SMS"), (FREE, "toll-free number of US, the contact's country")],
        ),
    ],
)
def test_a_trail_names_the_reason_of_each_step(
    senders: list[Sender], country: str | None, unusable: list[str], trail: list[tuple[str, str]]
) -> None:
    conditions = SenderConditions(cordoned=dict.fromkeys(unusable, "cordoned"))
    decision = select(pool(*senders), request(country=country), NO_FACTS, conditions)
    listed = [(step.address, step.reason) for step in decision.trail]
    assert listed[: len(trail)] == trail


@pytest.mark.parametrize("count", [8, 9, 10])
def test_eight_senders_without_a_capability_are_listed(count: int) -> None:
    useless = [sender(f"+1415555{number:04}", can=MMS) for number in range(count)]
    trail = select(pool(*useless, sender("+18885550010")), request()).trail
    assert [step.address[:5] for step in trail] == ["+1415"] * 8 + ["+1888"]


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
    countries = [f"X{number}" for number in range(2000)]
    first = [indexed.groups_for(country, SMS) for country in countries]
    again = [indexed.groups_for(country, SMS) for country in reversed(countries)]
    assert again == first[::-1]
    assert 0 < sum(one is other for one, other in zip(again, reversed(first), strict=True)) <= 512


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
