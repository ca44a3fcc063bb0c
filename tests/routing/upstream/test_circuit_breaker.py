"""When an upstream is left alone, and when it is tried again; told as short stories."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.routing.upstream.circuit_breaker import (
    FEWEST_CALLS,
    LONGEST_PAUSE,
    OPEN_SECONDS,
    WINDOW,
    Admission,
    CallResult,
    CircuitBreaker,
    State,
    Transition,
)

ORDINARY, PROBE = Admission.ORDINARY, Admission.PROBE
WELL, FAILING, UNKNOWN = CallResult.WELL, CallResult.FAILING, CallResult.UNKNOWN


def opened(at: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker()
    turns = [breaker.record(ORDINARY, FAILING, at) for _ in range(FEWEST_CALLS)]
    assert turns == [None] * (FEWEST_CALLS - 1) + [Transition.OPENED]
    return breaker


@pytest.mark.parametrize(
    ("verdicts", "state"),
    [
        ("f" * (FEWEST_CALLS - 1), State.CLOSED),
        ("f" * FEWEST_CALLS, State.OPEN),
        ("w" * 50 + "f" * 49, State.CLOSED),
        ("w" * 50 + "f" * 50, State.OPEN),
        ("f" * 4 + "w" * 50, State.CLOSED),
        ("u" * 50, State.CLOSED),
        ("f" * 4 + "u" * 50, State.CLOSED),
    ],
)
def test_it_opens_when_half_of_the_calls_fail(verdicts: str, state: State) -> None:
    breaker = CircuitBreaker()
    for letter in verdicts:
        breaker.record(ORDINARY, {"w": WELL, "f": FAILING, "u": UNKNOWN}[letter], 0.0)
    assert breaker.state is state


def test_old_failures_do_not_count() -> None:
    breaker = CircuitBreaker()
    for number in range(20):
        breaker.record(ORDINARY, FAILING, number * WINDOW / (FEWEST_CALLS - 1))
    assert breaker.state is State.CLOSED


def test_one_probe_at_a_time_and_its_success_closes() -> None:
    breaker = opened()
    assert breaker.allow(OPEN_SECONDS - 0.1) is None
    assert breaker.allow(OPEN_SECONDS) is PROBE
    assert breaker.allow(OPEN_SECONDS) is None
    assert breaker.record(PROBE, WELL, OPEN_SECONDS + 1) is Transition.CLOSED
    assert breaker.allow(OPEN_SECONDS + 1) is ORDINARY
    assert breaker.record(ORDINARY, FAILING, OPEN_SECONDS + 1) is None, "what was before is forgotten"


def test_each_failed_probe_doubles_the_pause_up_to_a_bound_and_tells_nobody_again() -> None:
    breaker, now, pauses = opened(), 0.0, []
    for _ in range(8):
        begun = now
        while breaker.allow(now) is None:
            now += 0.5
        pauses.append(now - begun)
        assert breaker.record(PROBE, FAILING, now) is None
    assert (
        pauses == [OPEN_SECONDS, 2 * OPEN_SECONDS, 4 * OPEN_SECONDS, 8 * OPEN_SECONDS] + [LONGEST_PAUSE] * 4
    )
    breaker.allow(now + LONGEST_PAUSE)
    breaker.record(PROBE, WELL, now + LONGEST_PAUSE)
    reopened = opened()
    assert reopened.allow(OPEN_SECONDS) is PROBE, "the pause is short again"


def test_a_probe_that_was_given_up_is_followed_by_another_at_once() -> None:
    breaker = opened()
    assert breaker.allow(OPEN_SECONDS) is PROBE
    breaker.record(PROBE, UNKNOWN, OPEN_SECONDS)
    assert breaker.allow(OPEN_SECONDS) is PROBE


@pytest.mark.parametrize("verdict", list(CallResult))
def test_calls_that_began_before_it_opened_change_nothing(verdict: CallResult) -> None:
    breaker = opened()
    assert breaker.record(ORDINARY, verdict, 1.0) is None
    assert breaker.state is State.OPEN
    assert breaker.allow(OPEN_SECONDS) is PROBE
    assert breaker.record(ORDINARY, verdict, OPEN_SECONDS) is None
    assert not breaker.allows(OPEN_SECONDS), "the probe is on its way"


@given(st.lists(st.tuples(st.floats(0, 20), st.sampled_from(CallResult)), max_size=60))
def test_it_is_never_stuck_and_never_lets_two_probes_through(steps: list[tuple[float, CallResult]]) -> None:
    breaker, now = CircuitBreaker(), 0.0
    for passed, verdict in steps:
        now += passed
        admission = breaker.allow(now)
        if admission is PROBE:
            assert breaker.allow(now) is None
        if admission is not None:
            breaker.record(admission, verdict, now)
    assert breaker.allows(now + LONGEST_PAUSE)
