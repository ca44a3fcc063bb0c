"""Which senders a worker may use at a moment, and what of a reply is counted."""

from __future__ import annotations

from sms_router.senders.availability import Availability
from sms_router.senders.cordons import Cordon, Cordons
from sms_router.senders.models import NO_CONDITIONS, Decision
from sms_router.senders.pending import PendingNumber, PendingNumbers
from sms_router.senders.rate_limits import RateLimiter, RateLimits, SenderLimit
from tests.senders.builders import NOON, FakeClock, pool, sender

LONG = sender("+14155550001")


def test_an_unrestricted_worker_counts_the_uses_of_equal_senders_alone() -> None:
    availability, decision = Availability.unrestricted(), Decision(LONG, LONG.address, ())
    availability.record_sent(decision, ("hello",))
    assert availability.conditions() is NO_CONDITIONS
    assert not availability.is_limited(decision)
    availability.record_sent(Decision(LONG, LONG.address, (), per_recipient=True), ("hello",))
    assert availability.conditions().used.keys() == {LONG.sid}


def test_a_condition_of_each_kind_is_known_by_sid() -> None:
    clock = FakeClock()
    cordons, pending = Cordons(clock), PendingNumbers(lambda: {"MG": pool(LONG)}, clock)
    rates = RateLimiter(RateLimits(by_number={LONG.address: SenderLimit(1, 2)}), clock)
    availability = Availability(cordons, rates, pending)
    decision = Decision(LONG, LONG.address, ())
    assert availability.conditions() == NO_CONDITIONS
    assert availability.is_limited(decision)
    availability.record_sent(decision, ("a", "b"))
    cordons.install([Cordon(LONG.sid, LONG.address, "MG", "incident", NOON)])
    pending.install([PendingNumber(LONG.address, "US", "being ported in")])
    conditions = availability.conditions(texted=LONG.address)
    assert conditions.cordoned[LONG.sid] == "cordoned until it is released: incident"
    assert conditions.pending == {LONG.sid: "being ported in"}
    assert conditions.capped == {LONG.sid: "at its daily cap: 2 segments"}
    assert conditions.over_rate == {LONG.sid: "over its rate: 1 MPS"}
    assert pending.first_texted == {LONG.address: clock.now}
