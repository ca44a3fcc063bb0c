"""Cordons as one worker knows them: words for the trail, and an end that needs nobody."""

from __future__ import annotations

import pytest

from sms_router.senders.availability import Availability
from sms_router.senders.conditions import NO_CONDITIONS
from sms_router.senders.cordons import Cordon, Cordons
from sms_router.senders.limits import Limits
from sms_router.senders.rate_limits import RateLimiter
from tests.senders.worlds import NOON, Clock

CODE = "SC" + "1" * 32


def cordon(until: float | None = None, sid: str = CODE) -> Cordon:
    return Cordon(sid, "12345", "MG", "carrier incident", NOON, until, "ada")


@pytest.mark.parametrize(
    ("until", "words"),
    [
        (None, "cordoned until it is released: carrier incident"),
        (NOON + 7500, "cordoned until 14:05 UTC: carrier incident"),
        (NOON + 86_400, "cordoned until 2026-01-10 12:00 UTC: carrier incident"),
    ],
)
def test_the_words_tell_the_end_and_the_reason(until: float | None, words: str) -> None:
    cordons = Cordons(Clock())
    cordons.install([cordon(until)])
    assert cordons.words() == {CODE: words, "12345": words}


def test_a_cordon_ends_by_itself_and_others_go_on() -> None:
    clock = Clock()
    cordons = Cordons(clock)
    cordons.install([cordon(NOON + 60), cordon(NOON + 120, sid="SC2"), cordon(sid="SC3")])
    assert set(cordons.words()) == {CODE, "SC2", "SC3", "12345"}
    clock.now += 60
    assert set(cordons.words()) == {"SC2", "SC3", "12345"}
    clock.now += 60
    assert set(cordons.words()) == {"SC3", "12345"}
    assert [each.sid for each in cordons.active] == ["SC3"]
    cordons.install([])
    assert cordons.words() == {}


def test_nothing_cordoned_is_nothing_against_anybody() -> None:
    clock = Clock()
    cordons = Cordons(clock)
    availability = Availability(cordons, RateLimiter(Limits(), clock))
    assert availability.conditions() is NO_CONDITIONS
    cordons.install([cordon(NOON + 60)])
    assert availability.conditions().objection(CODE) == "cordoned until 12:01 UTC: carrier incident"
    clock.now += 61
    assert availability.conditions() is NO_CONDITIONS


@pytest.mark.parametrize("wrong", [3600, 86_400])
def test_a_cordon_holds_again_when_a_clock_that_was_ahead_is_set_right(wrong: float) -> None:
    clock = Clock()
    cordons = Cordons(clock)
    cordons.install([cordon(NOON + 600)])
    clock.now += wrong
    cordons.look()
    assert cordons.words() == {}
    clock.now -= wrong
    cordons.look()
    assert set(cordons.words()) == {CODE, "12345"}
