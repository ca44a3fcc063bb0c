"""Which sender a Service selects (facts 5.1, 5.2)."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from sms_router.sandbox.sending.selection import PoolSelector
from sms_router.sandbox.state.account import Account, PoolMember
from sms_router.sandbox.world.loader import load_world
from sms_router.sandbox.world.numbers import Capabilities, Number, country_of, is_short_code
from sms_router.sandbox.world.world import Service
from tests.sandbox.sandbox_fixture import WORLD

ALPHA = "My Shop"
SHORT, SF, SF_OVERLAY, LA, CHICAGO = "12345", "+14155550100", "+16285550100", "+13105550100", "+13125550100"
TOLL_FREE, TORONTO, LONDON, BERLIN = "+18885550100", "+16475550100", "+447700900100", "+4915112345678"
CALIFORNIAN, NEW_YORKER, CANADIAN = "+14155550123", "+12125550123", "+14165550123"
BRITON, FRENCHMAN = "+447700900123", "+33612345678"


class PoolFixture:
    """A Service with a pool of these senders."""

    def __init__(self, senders: Iterable[str], *, area_code_geomatch: bool = True) -> None:
        world = load_world(WORLD)
        self.service = replace(world.services[0], senders=(), area_code_geomatch=area_code_geomatch)
        self.account = Account(replace(world, numbers=(), services=(self.service,)))
        self.selector = PoolSelector(self.account)
        for sender in senders:
            self.add(sender)

    def add(self, sender: str) -> None:
        sid = f"PN{len(tuple(self.account.members(self.service.sid))):032x}"
        if sender == ALPHA:
            self.account.add_member(self.service.sid, PoolMember(sid, alpha_sender=ALPHA))
            return
        country = "US" if is_short_code(sender) else country_of(sender)
        capabilities = Capabilities(sms=True, mms=sender != TORONTO)
        self.account.save_number(Number(sid, sender, country, capabilities, sender))
        self.account.add_member(self.service.sid, PoolMember(sid))

    def remove(self, sender: str) -> None:
        number = self.account.number_at(sender)
        assert number
        self.account.remove_member(self.service.sid, number.sid)

    def select(self, person: str, *, with_media: bool = False) -> str | None:
        return self.selector.select(self.service, person, with_media=with_media)

    def update_service(self, service: Service) -> None:
        self.service = service
        self.account.save_service(service)


@pytest.mark.parametrize(
    ("pool", "person", "sender"),
    [
        ([LA, TOLL_FREE, SHORT, ALPHA], CALIFORNIAN, SHORT),
        ([LA, TOLL_FREE, SHORT, ALPHA], BRITON, ALPHA),
        ([SF, ALPHA], CALIFORNIAN, SF),
        ([SHORT], BRITON, None),
        ([TORONTO, TOLL_FREE, SHORT], CANADIAN, TOLL_FREE),
        ([TORONTO, LA], CANADIAN, TORONTO),
        ([LONDON, LA], BRITON, LONDON),
        ([LONDON, LA, BERLIN], FRENCHMAN, LA),
        ([LONDON, BERLIN], FRENCHMAN, LONDON),
        ([LA, SF, CHICAGO], CALIFORNIAN, SF),
        ([LA, SF_OVERLAY], CALIFORNIAN, SF_OVERLAY),
        ([LA, CHICAGO], NEW_YORKER, LA),
        ([], CALIFORNIAN, None),
    ],
)
def test_the_sender_is_the_one_that_twilio_documents(
    pool: list[str], person: str, sender: str | None
) -> None:
    assert PoolFixture(pool).select(person) == sender


def test_pictures_require_a_sender_with_mms() -> None:
    assert PoolFixture([TORONTO, TOLL_FREE]).select(CANADIAN, with_media=True) == TOLL_FREE
    assert PoolFixture([ALPHA, LONDON]).select(BRITON, with_media=True) == LONDON
    assert PoolFixture([TORONTO]).select(CANADIAN, with_media=True) is None


def test_senders_are_used_in_turn_and_a_contact_stays_with_one() -> None:
    pool = PoolFixture([LA, CHICAGO])
    others = [f"+1212555{last:04}" for last in range(100, 104)]
    assert [pool.select(person) for person in others] == [LA, CHICAGO, LA, CHICAGO]
    assert [pool.select(person) for person in others] == [LA, CHICAGO, LA, CHICAGO]
    assert pool.select(others[0]) == LA


def test_with_sticky_sender_off_no_mapping_is_used_or_stored() -> None:
    pool = PoolFixture([LA, CHICAGO])
    assert pool.select(NEW_YORKER) == LA
    pool.update_service(replace(pool.service, sticky_sender=False))
    assert [pool.select(NEW_YORKER) for _ in range(3)] == [CHICAGO, LA, CHICAGO]
    pool.update_service(replace(pool.service, sticky_sender=True))
    assert pool.select(NEW_YORKER) == LA


def test_a_mapping_ends_when_its_number_is_removed_or_a_better_country_is_added() -> None:
    pool = PoolFixture([LA, CHICAGO])
    assert pool.select(NEW_YORKER) == LA
    pool.remove(LA)
    assert pool.select(NEW_YORKER) == CHICAGO
    assert pool.select(BRITON) == CHICAGO
    pool.add(LONDON)
    assert pool.select(BRITON) == LONDON


def test_area_codes_count_only_with_area_code_geomatch() -> None:
    assert PoolFixture([LA, SF], area_code_geomatch=False).select(CALIFORNIAN) == LA


@pytest.mark.parametrize("near", [SF, SF_OVERLAY])
def test_the_same_area_code_and_overlaid_ones_are_preferred(near: str) -> None:
    assert PoolFixture([LA, near]).select(CALIFORNIAN) == near
