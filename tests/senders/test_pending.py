"""Numbers on their way: passed over with the reason, used for whoever texts them, free without any."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from sms_router.senders.availability import Availability
from sms_router.senders.conditions import NO_CONDITIONS, SenderConditions
from sms_router.senders.cordons import Cordons
from sms_router.senders.limits import Limits
from sms_router.senders.pending import PendingNumber, PendingNumbers, in_words
from sms_router.senders.pool import Pool
from sms_router.senders.rate_limits import RateLimiter
from sms_router.senders.request import RecipientFacts, ReplyFrom, SelectionRequest
from sms_router.senders.selection import explain, select
from tests.senders import worlds
from tests.senders.worlds import NOON, Clock, pool, request, sender

CODE, LONG = sender("12345"), sender("+14155550001")
OTHER = sender("+12125550003")
PORTED = PendingNumber(LONG.address, "US", "being ported in")
MIGRATED = PendingNumber("12345", "US", "being migrated", gradual=True)


def conditions(*numbers: PendingNumber, of: Pool) -> SenderConditions:
    return SenderConditions(pending=in_words(numbers, [of]))


def test_it_is_passed_over_with_its_reason_until_it_is_live() -> None:
    pools = pool(CODE, LONG, OTHER)
    decision = select(pools, request(texted=OTHER.address), conditions=conditions(MIGRATED, PORTED, of=pools))
    assert decision.address == OTHER.address
    assert decision.story.splitlines()[0] == "12345: passed over: being migrated"
    assert select(pools, request(texted=OTHER.address)).address == "12345"


def test_whoever_texts_it_is_answered_from_it() -> None:
    pools = pool(CODE, LONG)
    against = conditions(MIGRATED, PORTED, of=pools)
    decision = select(pools, request(texted="12345"), conditions=against)
    assert decision.address == "12345"
    assert decision.story.endswith("; on its way in, but this person has texted it through Twilio")
    told = explain(pools, request(texted="12345"), conditions=against)
    assert [line.reason for line in told.trail if line.address == LONG.address] == ["being ported in"]
    same = request(texted=LONG.address, policy=ReplyFrom.SAME_NUMBER)
    assert select(pools, same, conditions=against).address == LONG.address


def test_a_text_to_a_ported_number_leaves_the_policy_as_it_is() -> None:
    pools = pool(CODE, LONG)
    assert (
        select(pools, request(texted=LONG.address), conditions=conditions(PORTED, of=pools)).address
        == "12345"
    )


def test_a_wish_for_it_is_passed_over() -> None:
    pools = pool(CODE, LONG)
    decision = select(pools, request(wish=LONG.address), conditions=conditions(PORTED, of=pools))
    assert decision.address == "12345"
    assert "being ported in" in decision.story


def test_when_nothing_else_is_left_the_texted_number_answers() -> None:
    pools = pool(LONG)
    decision = select(pools, request(texted="+13125550004"), conditions=conditions(PORTED, of=pools))
    assert decision.address == "+13125550004"


def test_a_short_code_with_the_same_digits_in_another_country_is_not_meant() -> None:
    canadian = sender("12345", "CA")
    assert in_words([MIGRATED], [pool(canadian)]) == {}
    assert set(in_words([MIGRATED], [pool(canadian, CODE)])) == {CODE.sid}


def test_words_follow_the_pools_and_texts_are_noticed() -> None:
    clock, pools = Clock(), [{"MG": pool(OTHER)}]
    pending = PendingNumbers(lambda: pools[0], clock)
    pending.install([PORTED, MIGRATED])
    assert pending.words() == {}
    pools[0] = {"MG": pool(OTHER, LONG)}
    assert pending.words() == {LONG.sid: "being ported in"}
    assert pending.notices() == []
    pending.words("12345")
    pending.words(LONG.address)
    clock.now += 60
    pending.words(LONG.address)
    assert pending.texted == {"12345": NOON, LONG.address: NOON}
    (notice,) = pending.notices()
    assert notice.startswith("+14155550001 was texted through Twilio, so it is live")
    pending.install([MIGRATED])
    assert pending.notices() == []
    assert set(pending.texted) == {"12345"}


def test_nothing_on_its_way_is_nothing_against_anybody() -> None:
    clock = Clock()
    world = {"MG": pool(CODE, LONG)}
    pending = PendingNumbers(lambda: world, clock)
    availability = Availability(Cordons(clock), RateLimiter(Limits(), clock), pending)
    assert availability.conditions("12345") is NO_CONDITIONS
    pending.install([PendingNumber("+13125550004", "US", "being ported in")])
    assert availability.conditions("12345") is NO_CONDITIONS
    pending.install([PORTED])
    assert availability.conditions("12345").objection(LONG.sid) == "being ported in"


@given(worlds.pools, worlds.requests, worlds.facts, worlds.conditions, worlds.pending)
def test_what_is_pending_is_chosen_by_nobody_but_who_texts_it(
    senders: Pool,
    asked: SelectionRequest,
    learned: RecipientFacts,
    others: SenderConditions,
    pending: dict[str, str],
) -> None:
    against = replace(others, pending=pending)
    chosen = select(senders, asked, learned, against).sender
    texted = senders.find(asked.texted, asked.country)
    assert chosen is None or chosen.sid not in against.pending or chosen == texted
    if texted is None or texted.sid not in against.pending:
        for line in explain(senders, asked, learned, against).trail:
            assert not (line.taken and line.sid in against.pending)
