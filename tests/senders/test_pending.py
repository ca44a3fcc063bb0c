"""Pending numbers: skipped with their reason, and used for contacts who text them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from sms_router.senders.availability import Availability
from sms_router.senders.cordons import Cordons
from sms_router.senders.models import (
    NO_CONDITIONS,
    RecipientFacts,
    ReplyFrom,
    SelectionRequest,
    SenderConditions,
)
from sms_router.senders.pending import PendingNumber, PendingNumbers, pending_reasons
from sms_router.senders.pool import Pool
from sms_router.senders.rate_limits import RateLimiter, RateLimits
from sms_router.senders.selection import explain, select
from tests.senders import builders
from tests.senders.builders import NOON, FakeClock, pool, request, sender

CODE, LONG = sender("12345"), sender("+14155550001")
OTHER = sender("+12125550003")
PORTED = PendingNumber(LONG.address, "US", "being ported in")
MIGRATED = PendingNumber("12345", "US", "being migrated", gradual=True)


def conditions(*numbers: PendingNumber, of: Pool) -> SenderConditions:
    return SenderConditions(pending=pending_reasons(numbers, [of]))


def test_a_pending_number_is_skipped_with_its_reason() -> None:
    pools = pool(CODE, LONG, OTHER)
    decision = select(pools, request(texted=OTHER.address), conditions=conditions(MIGRATED, PORTED, of=pools))
    assert decision.address == OTHER.address
    assert decision.trail_text.splitlines()[0] == "12345: skipped: being migrated"
    assert select(pools, request(texted=OTHER.address)).address == "12345"


def test_a_contact_who_texts_a_pending_number_is_answered_from_it() -> None:
    pools = pool(CODE, LONG)
    against = conditions(MIGRATED, PORTED, of=pools)
    decision = select(pools, request(texted="12345"), conditions=against)
    assert decision.address == "12345"
    assert decision.trail_text.endswith("; not live yet, but the contact's message to it came through Twilio")
    explained = explain(pools, request(texted="12345"), conditions=against)
    (reason,) = (line.reason for line in explained.trail if line.address == LONG.address)
    assert reason == "being ported in"
    same = request(texted=LONG.address, policy=ReplyFrom.SAME_NUMBER)
    assert select(pools, same, conditions=against).address == LONG.address


def test_a_message_to_a_pending_number_does_not_change_the_policy() -> None:
    pools = pool(CODE, LONG)
    assert (
        select(pools, request(texted=LONG.address), conditions=conditions(PORTED, of=pools)).address
        == "12345"
    )


def test_a_pending_number_that_the_handler_requests_is_skipped() -> None:
    pools = pool(CODE, LONG)
    decision = select(pools, request(preferred=LONG.address), conditions=conditions(PORTED, of=pools))
    assert decision.address == "12345"
    assert "being ported in" in decision.trail_text


def test_the_last_resort_is_the_texted_number() -> None:
    pools = pool(LONG)
    decision = select(pools, request(texted="+13125550004"), conditions=conditions(PORTED, of=pools))
    assert decision.address == "+13125550004"


def test_a_short_code_with_the_same_digits_in_another_country_is_not_pending() -> None:
    canadian = sender("12345", "CA")
    assert pending_reasons([MIGRATED], [pool(canadian)]) == {}
    assert set(pending_reasons([MIGRATED], [pool(canadian, CODE)])) == {CODE.sid}


def test_reasons_follow_the_pools_and_texted_numbers_give_notices() -> None:
    clock, pools = FakeClock(), [{"MG": pool(OTHER)}]
    pending = PendingNumbers(lambda: pools[0], clock)
    pending.install([PORTED, MIGRATED])
    assert pending.reasons() == {}
    pools[0] = {"MG": pool(OTHER, LONG)}
    assert pending.reasons() == {LONG.sid: "being ported in"}
    assert pending.notices() == []
    pending.reasons("12345")
    pending.reasons(LONG.address)
    clock.now += 60
    pending.reasons(LONG.address)
    assert pending.first_texted == {"12345": NOON, LONG.address: NOON}
    (notice,) = pending.notices()
    assert notice.startswith("+14155550001 received a message through Twilio, so it is live")
    pending.install([MIGRATED])
    assert pending.notices() == []
    assert set(pending.first_texted) == {"12345"}


def test_without_pending_numbers_there_are_no_conditions() -> None:
    clock = FakeClock()
    pools_by_service = {"MG": pool(CODE, LONG)}
    pending = PendingNumbers(lambda: pools_by_service, clock)
    availability = Availability(Cordons(clock), RateLimiter(RateLimits(), clock), pending)
    assert availability.conditions("12345") is NO_CONDITIONS
    pending.install([PendingNumber("+13125550004", "US", "being ported in")])
    assert availability.conditions("12345") is NO_CONDITIONS
    pending.install([PORTED])
    assert availability.conditions("12345").objection(LONG.sid) == "being ported in"


@given(builders.pools, builders.requests, builders.facts, builders.conditions, builders.pending)
def test_a_pending_number_is_chosen_only_for_contacts_who_text_it(
    senders: Pool,
    reply: SelectionRequest,
    facts: RecipientFacts,
    others: SenderConditions,
    pending: dict[str, str],
) -> None:
    against = replace(others, pending=pending)
    chosen = select(senders, reply, facts, against).sender
    texted = senders.find(reply.texted, reply.country)
    assert chosen is None or chosen.sid not in against.pending or chosen == texted
    if texted is None or texted.sid not in against.pending:
        for candidate in explain(senders, reply, facts, against).trail:
            assert not (candidate.is_chosen and candidate.sid in against.pending)


def test_each_pool_that_holds_a_pending_number_has_the_reason() -> None:
    reasons = pending_reasons([PORTED], [pool(CODE), pool(sender("12345", "CA"), LONG)])
    assert reasons == {LONG.sid: "being ported in"}
    assert pending_reasons([MIGRATED], [pool(sender("12345", "CA")), pool(CODE)]) == {
        CODE.sid: "being migrated"
    }


def test_the_reasons_are_computed_once_for_the_same_pools() -> None:
    pools_by_service = {"MG": pool(CODE, LONG)}
    pending = PendingNumbers(lambda: pools_by_service, FakeClock())
    assert (dict(pending.numbers), pending.reasons()) == ({}, {})
    pending.install([PORTED])
    assert pending.reasons() is pending.reasons()


def test_a_texted_pending_number_counts_as_live_in_explain_too() -> None:
    pools = pool(CODE, LONG, OTHER)
    against = conditions(MIGRATED, PORTED, of=pools)
    trail = explain(pools, request(texted=LONG.address), conditions=against).trail
    assert [str(line) for line in trail] == [
        "12345: skipped: being migrated",
        "+14155550001: chosen: long code of US, the contact's country, Area Code Geomatch 415;"
        " not live yet, but the contact's message to it came through Twilio",
        "+12125550003: not needed: +14155550001 was chosen before it",
    ]


def test_a_reply_to_another_contact_does_not_leave_from_a_pending_number_that_was_texted() -> None:
    pools = pool(LONG, OTHER)
    reply = request(texted=LONG.address)._replace(to_another=True)
    assert select(pools, reply, conditions=conditions(PORTED, of=pools)).sender == OTHER


def test_a_pending_number_is_found_by_the_contacts_country() -> None:
    pools = pool(CODE, sender("12345", "CA"))
    assert select(pools, request(texted="12345"), conditions=conditions(MIGRATED, of=pools)).sender == CODE


def test_the_texted_number_reaches_the_pending_numbers_through_the_availability() -> None:
    clock, pools_by_service = FakeClock(), {"MG": pool(CODE, LONG)}
    pending = PendingNumbers(lambda: pools_by_service, clock)
    pending.install([PORTED])
    Availability(Cordons(clock), RateLimiter(RateLimits(), clock), pending).conditions(LONG.address)
    assert pending.first_texted == {LONG.address: NOON}


def test_a_short_code_before_a_texted_pending_number_has_no_note() -> None:
    pools = pool(CODE, LONG)
    trail = explain(pools, request(texted=LONG.address), conditions=conditions(PORTED, of=pools)).trail
    assert [str(line) for line in trail] == [
        "12345: chosen: short code of US, the contact's country",
        "+14155550001: not needed: 12345 was chosen before it",
    ]
