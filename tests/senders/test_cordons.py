"""One worker's copy of the cordons: their reasons for the trail, and their end."""

from __future__ import annotations

import time

import pytest

from sms_router.senders.availability import Availability
from sms_router.senders.cordons import Cordon, Cordons, parse_reason
from sms_router.senders.models import NO_CONDITIONS
from sms_router.senders.rate_limits import RateLimiter, RateLimits
from tests.senders.builders import NOON, FakeClock

CODE = "SC" + "1" * 32


def cordon(until: float | None = None, sid: str = CODE) -> Cordon:
    return Cordon(sid, "12345", "MG", "carrier incident", NOON, until, "ada")


@pytest.mark.parametrize(
    ("until", "reason"),
    [
        (None, "cordoned until it is released: carrier incident"),
        (NOON + 7500, "cordoned until 14:05 UTC: carrier incident"),
        (NOON + 86_400, "cordoned until 2026-01-10 12:00 UTC: carrier incident"),
    ],
)
def test_the_trail_names_the_end_and_the_reason(until: float | None, reason: str) -> None:
    cordons = Cordons(FakeClock())
    cordons.install([cordon(until)])
    assert cordons.reasons() == {CODE: reason, "12345": reason}


def test_each_cordon_ends_at_its_time() -> None:
    clock = FakeClock()
    cordons = Cordons(clock)
    cordons.install([cordon(NOON + 60), cordon(NOON + 120, sid="SC2"), cordon(sid="SC3")])
    assert set(cordons.reasons()) == {CODE, "SC2", "SC3", "12345"}
    clock.now += 60
    assert set(cordons.reasons()) == {"SC2", "SC3", "12345"}
    clock.now += 60
    assert set(cordons.reasons()) == {"SC3", "12345"}
    assert [each.sid for each in cordons.active] == ["SC3"]
    cordons.install([])
    assert cordons.reasons() == {}


def test_without_cordons_there_are_no_conditions() -> None:
    clock = FakeClock()
    cordons = Cordons(clock)
    availability = Availability(cordons, RateLimiter(RateLimits(), clock))
    assert availability.conditions() is NO_CONDITIONS
    cordons.install([cordon(NOON + 60)])
    assert availability.conditions().objection(CODE) == "cordoned until 12:01 UTC: carrier incident"
    clock.now += 61
    assert availability.conditions() is NO_CONDITIONS


@pytest.mark.parametrize("wrong", [3600, 86_400])
def test_a_cordon_is_active_again_after_a_clock_that_was_ahead_is_corrected(wrong: float) -> None:
    clock = FakeClock()
    cordons = Cordons(clock)
    cordons.install([cordon(NOON + 600)])
    clock.now += wrong
    cordons.recheck()
    assert cordons.reasons() == {}
    clock.now -= wrong
    cordons.recheck()
    assert set(cordons.reasons()) == {CODE, "12345"}


def test_times_are_utc_whatever_the_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        # In Tokyo it is nine hours later: another day from 15:00 UTC on.
        assert cordon(NOON + 7500).describe(NOON) == "cordoned until 14:05 UTC: carrier incident"
        assert cordon(NOON + 39_900).describe(NOON + 18_000) == "cordoned until 23:05 UTC: carrier incident"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("text", "reason"), [(" carrier \n incident ", "carrier incident"), ("x" * 200, "x" * 200)]
)
def test_a_reason_is_one_line(text: str, reason: str) -> None:
    assert parse_reason(text) == reason


@pytest.mark.parametrize("text", ["", " \n", "x" * 201])
def test_an_empty_or_long_reason_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="1 to 200 characters"):
        parse_reason(text)


def test_each_active_cordon_has_a_notice() -> None:
    cordons = Cordons(FakeClock())
    assert (cordons.active, cordons.reasons()) == ((), {})
    cordons.install([cordon(NOON + 7500), cordon(NOON)])
    assert cordons.notices() == ["12345 is cordoned until 14:05 UTC: carrier incident"]
