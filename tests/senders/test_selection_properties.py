"""Properties of the selection, for every pool, request, facts and conditions."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from sms_router.senders.eligibility import ineligible_reason
from sms_router.senders.models import (
    NO_CONDITIONS,
    NO_FACTS,
    CandidateResult,
    RecipientFacts,
    ReplyFrom,
    SelectionRequest,
    Sender,
    SenderConditions,
    SenderKind,
)
from sms_router.senders.pool import Pool
from sms_router.senders.selection import explain, is_still_valid, select
from tests.senders.builders import conditions, facts, pending, pools, requests, used


def at_home(pool: Pool, request: SelectionRequest) -> SelectionRequest:
    texted = pool.find(request.texted, None)
    if request.country or not texted or texted.kind is not SenderKind.SHORT_CODE:
        return request
    return request._replace(country=texted.country)


def usable(
    pool: Pool, request: SelectionRequest, known: RecipientFacts, now: SenderConditions = NO_CONDITIONS
) -> list[Sender]:
    if known.opted_out:
        return []
    return [
        each for each in pool.senders if ineligible_reason(each, at_home(pool, request), known, now) is None
    ]


def choosable(
    pool: Pool, request: SelectionRequest, known: RecipientFacts, now: SenderConditions
) -> list[Sender]:
    """Return the senders that may be chosen: usable ones, else those that are only over their rate."""
    able = usable(pool, request, known, now)
    unknown = not pool.holds(request.texted) and not now.objection(request.texted)
    if able or (unknown and request.texted not in known.unreachable):
        return able
    return usable(pool, request, known, now.without_rates())


def without(pool: Pool, gone: Sender) -> Pool:
    return Pool(pool.service_sid, pool.version, tuple(each for each in pool.senders if each != gone))


def by_kind(request: SelectionRequest) -> SelectionRequest:
    """The request without what has precedence over the kinds."""
    return request._replace(preferred_sender=None, policy=ReplyFrom.SHORT_CODE_FIRST)


@given(pools, requests, facts, conditions)
def test_the_choice_is_a_usable_sender_of_the_pool_or_the_texted_number(
    pool: Pool, request: SelectionRequest, known: RecipientFacts, now: SenderConditions
) -> None:
    decision = select(pool, request, known, now)
    able = choosable(pool, request, known, now)
    if decision.sender is not None:
        assert decision.sender in able
        assert decision.address == decision.sender.address
        assert decision.sender.sid not in now.cordoned
        assert decision.sender.sid not in now.capped
    elif decision.address is not None:
        assert decision.address == request.texted
        assert not pool.holds(request.texted)
        assert not known.opted_out
        assert request.texted not in now.cordoned
    if able:
        assert decision.address is not None


@given(st.data(), pools, requests, facts, conditions, used)
def test_replicas_with_another_order_of_senders_agree(
    data: st.DataObject,
    pool: Pool,
    request: SelectionRequest,
    known: RecipientFacts,
    against: SenderConditions,
    last: dict[str, float],
) -> None:
    now = replace(against, used=last)
    replica = Pool(pool.service_sid, pool.version, tuple(data.draw(st.permutations(pool.senders))))
    once, again = select(pool, request, known, now), select(replica, request, known, now)
    assert (once.address, once.sender and once.sender.kind) == (
        again.address,
        again.sender and again.sender.kind,
    )


@given(pools, requests, facts, conditions)
def test_a_sender_that_was_not_chosen_can_leave_without_a_change(
    pool: Pool, request: SelectionRequest, known: RecipientFacts, now: SenderConditions
) -> None:
    request = at_home(pool, request)
    chosen = select(pool, request, known, now)
    for other in pool.senders:
        if other != chosen.sender and other.address != request.texted:
            smaller = select(without(pool, other), request, known, now)
            assert (smaller.sender, smaller.address) == (chosen.sender, chosen.address)


@given(pools, requests, facts, conditions, used)
def test_a_skipped_sender_can_leave_without_a_change_whenever_the_others_were_used(
    pool: Pool,
    request: SelectionRequest,
    known: RecipientFacts,
    against: SenderConditions,
    last: dict[str, float],
) -> None:
    request, now = at_home(pool, request), replace(against, used=last)
    chosen = select(pool, request, known, now)
    able = choosable(pool, request, known, now)
    for other in pool.senders:
        if other not in able and other.address != request.texted:
            smaller = select(without(pool, other), request, known, now)
            assert (smaller.sender, smaller.address) == (chosen.sender, chosen.address)


@given(pools, requests, conditions, used, pending)
def test_a_decision_without_conditions_that_is_still_valid_is_the_one_under_the_conditions(
    pool: Pool,
    request: SelectionRequest,
    others: SenderConditions,
    last_uses: dict[str, float],
    not_live: dict[str, str],
) -> None:
    for now in (others, replace(others, used=last_uses), replace(others, pending=not_live)):
        decision = select(pool, request)
        if is_still_valid(decision, now):
            assert select(pool, request, NO_FACTS, now) == decision


@given(pools, requests, facts, conditions, used)
def test_the_chosen_kind_is_the_first_in_the_countrys_order_that_can_carry_the_reply(
    pool: Pool,
    request: SelectionRequest,
    known: RecipientFacts,
    against: SenderConditions,
    last: dict[str, float],
) -> None:
    request, now = at_home(pool, by_kind(request)), replace(against, used=last)
    able = choosable(pool, request, known, now)
    assume(able)
    short, alpha, long, toll_free = (
        SenderKind.SHORT_CODE,
        SenderKind.ALPHANUMERIC,
        SenderKind.LONG_CODE,
        SenderKind.TOLL_FREE,
    )
    order = (short, alpha, toll_free, long) if request.country == "CA" else (short, alpha, long, toll_free)
    chosen = select(pool, request, known, now).sender
    assert chosen is not None
    assert chosen.kind is min((each.kind for each in able), key=order.index)


@given(pools, requests, facts, conditions, used)
def test_within_a_kind_sticky_sender_country_area_code_and_last_use_decide(
    pool: Pool,
    request: SelectionRequest,
    known: RecipientFacts,
    against: SenderConditions,
    last: dict[str, float],
) -> None:
    request, now = at_home(pool, by_kind(request)), replace(against, used=last)
    chosen = select(pool, request, known, now).sender
    assume(chosen)
    assert chosen is not None
    rivals = [each for each in choosable(pool, request, known, now) if each.kind is chosen.kind]
    few = len(rivals) <= 4

    def rank(each: Sender) -> tuple[bool, bool, bool, bool, bool, float]:
        near = bool(request.area_code) and each.address[2:5] == request.area_code
        own = each.country == request.country
        return (
            each.address != known.last_sender,
            not own,
            not (own and near and each.kind is SenderKind.LONG_CODE),
            each.country != "US",
            each.address != request.texted,
            last.get(each.sid, 0.0) if few else 0.0,
        )

    assert rank(chosen) == min(map(rank, rivals))


@given(pools, requests, facts, conditions)
def test_explain_makes_the_same_choice_and_lists_every_sender_once(
    pool: Pool, request: SelectionRequest, known: RecipientFacts, now: SenderConditions
) -> None:
    short, full = select(pool, request, known, now), explain(pool, request, known, now)
    assert (full.sender, full.address) == (short.sender, short.address)
    assert full.trail[: len(short.trail)] == short.trail
    listed = [line.sid for line in full.trail if line.sid]
    assert sorted(listed) == sorted(each.sid for each in pool.senders)
    able = {each.sid for each in usable(pool, request, known, now)}
    if not able and short.sender is not None:
        able = {short.sender.sid}
    assert {
        line.sid for line in full.trail if line.sid and line.result is not CandidateResult.SKIPPED
    } == able
    for line in full.trail:
        if line.sid in now.cordoned and line.sid not in able:
            assert line.result is CandidateResult.SKIPPED


@given(pools, requests, facts)
def test_exactly_one_candidate_is_chosen_and_it_is_the_last_of_the_trail(
    pool: Pool, request: SelectionRequest, known: RecipientFacts
) -> None:
    decision = select(pool, request, known)
    taken = [line for line in decision.trail if line.is_chosen]
    assert [line.address for line in taken] == ([decision.address] if decision.address else [])
    assert not taken or decision.trail[-1] is taken[0]
    assert all(line.reason for line in decision.trail)


@given(pools, requests)
def test_a_decision_that_is_not_per_recipient_is_the_same_for_every_contact(
    pool: Pool, request: SelectionRequest
) -> None:
    decision = select(pool, request)
    if not decision.per_recipient:
        for contact in ("+14155550111", "+12125550199"):
            assert select(pool, request._replace(contact=contact)) == decision
