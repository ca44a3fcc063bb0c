"""Which sender a Service chooses (facts 5.1, 5.2)."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from sms_router.sandbox import load_world
from sms_router.sandbox.sending.selection import Selection
from sms_router.sandbox.state.account import Account, Member
from sms_router.sandbox.world.numbers import Capabilities, Number, country_of, is_short_code
from sms_router.sandbox.world.world import Service
from tests.sandbox.bench import WORLD

ALPHA = "My Shop"
SHORT, SF, SF_OVERLAY, LA, CHICAGO = "12345", "+14155550100", "+16285550100", "+13105550100", "+13125550100"
TOLL_FREE, TORONTO, LONDON, BERLIN = "+18885550100", "+16475550100", "+447700900100", "+4915112345678"
CALIFORNIAN, NEW_YORKER, CANADIAN = "+14155550123", "+12125550123", "+14165550123"
BRITON, FRENCHMAN = "+447700900123", "+33612345678"


class Desk:
    """A Service with a pool of these senders, and its choices."""

    def __init__(self, senders: Iterable[str], *, area_code_geomatch: bool = True) -> None:
        world = load_world(WORLD)
        self.service = replace(world.services[0], senders=(), area_code_geomatch=area_code_geomatch)
        self.account = Account(replace(world, numbers=(), services=(self.service,)))
        self.selection = Selection(self.account)
        for sender in senders:
            self.join(sender)

    def join(self, sender: str) -> None:
        sid = f"PN{len(tuple(self.account.members(self.service.sid))):032x}"
        if sender == ALPHA:
            self.account.join(self.service.sid, Member(sid, alpha_sender=ALPHA))
            return
        country = "US" if is_short_code(sender) else country_of(sender)
        able = Capabilities(sms=True, mms=sender != TORONTO)
        self.account.save_number(Number(sid, sender, country, able, sender))
        self.account.join(self.service.sid, Member(sid))

    def leave(self, sender: str) -> None:
        number = self.account.number_at(sender)
        assert number
        self.account.leave(self.service.sid, number.sid)

    def sends_to(self, person: str, *, with_media: bool = False) -> str | None:
        return self.selection.choose(self.service, person, with_media=with_media)

    def change(self, service: Service) -> None:
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
    assert Desk(pool).sends_to(person) == sender


def test_pictures_need_a_sender_that_carries_them() -> None:
    assert Desk([TORONTO, TOLL_FREE]).sends_to(CANADIAN, with_media=True) == TOLL_FREE
    assert Desk([ALPHA, LONDON]).sends_to(BRITON, with_media=True) == LONDON
    assert Desk([TORONTO]).sends_to(CANADIAN, with_media=True) is None


def test_idle_senders_take_turns_and_people_keep_theirs() -> None:
    desk = Desk([LA, CHICAGO])
    others = [f"+1212555{last:04}" for last in range(100, 104)]
    assert [desk.sends_to(person) for person in others] == [LA, CHICAGO, LA, CHICAGO]
    assert [desk.sends_to(person) for person in others] == [LA, CHICAGO, LA, CHICAGO]
    assert desk.sends_to(others[0]) == LA


def test_without_sticky_sender_nobody_is_kept_and_the_old_mapping_comes_back() -> None:
    desk = Desk([LA, CHICAGO])
    assert desk.sends_to(NEW_YORKER) == LA
    desk.change(replace(desk.service, sticky_sender=False))
    assert [desk.sends_to(NEW_YORKER) for _ in range(3)] == [CHICAGO, LA, CHICAGO]
    desk.change(replace(desk.service, sticky_sender=True))
    assert desk.sends_to(NEW_YORKER) == LA


def test_a_mapping_ends_when_its_number_leaves_or_a_better_country_comes() -> None:
    desk = Desk([LA, CHICAGO])
    assert desk.sends_to(NEW_YORKER) == LA
    desk.leave(LA)
    assert desk.sends_to(NEW_YORKER) == CHICAGO
    assert desk.sends_to(BRITON) == CHICAGO
    desk.join(LONDON)
    assert desk.sends_to(BRITON) == LONDON


def test_area_codes_count_only_where_the_service_says_so() -> None:
    assert Desk([LA, SF], area_code_geomatch=False).sends_to(CALIFORNIAN) == LA


@pytest.mark.parametrize("near", [SF, SF_OVERLAY])
def test_the_same_area_code_and_overlaid_ones_come_first(near: str) -> None:
    assert Desk([LA, near]).sends_to(CALIFORNIAN) == near
