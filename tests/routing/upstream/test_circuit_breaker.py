"""When the circuit opens, when it admits a probe, and when it closes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.routing.upstream.circuit_breaker import CircuitBreaker, CircuitState

ORDINARY, PROBE = CircuitState.CLOSED, CircuitState.HALF_OPEN
SUCCESS, FAILURE, UNKNOWN = False, True, None


def opened(at: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker()
    transitions = [breaker.record(ORDINARY, FAILURE, at) for _ in range(5)]
    assert transitions == [None] * 4 + [CircuitState.OPEN]
    return breaker


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ("f" * 4, CircuitState.CLOSED),
        ("f" * 5, CircuitState.OPEN),
        ("s" * 50 + "f" * 49, CircuitState.CLOSED),
        ("s" * 50 + "f" * 50, CircuitState.OPEN),
        ("f" * 4 + "s" * 50, CircuitState.CLOSED),
        ("u" * 50, CircuitState.CLOSED),
        ("f" * 4 + "u" * 50, CircuitState.CLOSED),
    ],
)
def test_the_circuit_opens_when_half_of_the_calls_fail(results: str, state: CircuitState) -> None:
    breaker = CircuitBreaker()
    for letter in results:
        breaker.record(ORDINARY, {"s": SUCCESS, "f": FAILURE, "u": UNKNOWN}[letter], 0.0)
    assert breaker.state is state


def test_failures_outside_of_the_window_do_not_count() -> None:
    breaker = CircuitBreaker()
    for number in range(20):
        breaker.record(ORDINARY, FAILURE, number * 7.5)
    assert breaker.state is CircuitState.CLOSED


def test_one_probe_at_a_time_is_admitted_and_its_success_closes_the_circuit() -> None:
    breaker = opened()
    assert breaker.admit(4.9) is None
    assert breaker.admit(5.0) is PROBE
    assert breaker.admit(5.0) is None
    assert breaker.record(PROBE, SUCCESS, 6.0) is CircuitState.CLOSED
    assert breaker.admit(6.0) is ORDINARY
    assert breaker.record(ORDINARY, FAILURE, 6.0) is None, "earlier results are deleted"


def test_each_failed_probe_doubles_the_time_to_the_next_one_up_to_a_minute() -> None:
    breaker, now, waits = opened(), 0.0, []
    for _ in range(8):
        opened_at = now
        while breaker.admit(now) is None:
            now += 0.5
        waits.append(now - opened_at)
        assert breaker.record(PROBE, FAILURE, now) is None
    assert waits == [5.0, 10.0, 20.0, 40.0] + [60.0] * 4
    breaker.admit(now + 60.0)
    breaker.record(PROBE, SUCCESS, now + 60.0)
    reopened = opened()
    assert reopened.admit(5.0) is PROBE, "the first wait is short again"


def test_a_cancelled_probe_is_followed_by_another_at_once() -> None:
    breaker = opened()
    assert breaker.admit(5.0) is PROBE
    breaker.record(PROBE, UNKNOWN, 5.0)
    assert breaker.admit(5.0) is PROBE


@pytest.mark.parametrize("result", [SUCCESS, FAILURE, UNKNOWN])
def test_calls_that_end_after_the_circuit_has_opened_change_nothing(result: bool | None) -> None:
    breaker = opened()
    assert breaker.record(ORDINARY, result, 1.0) is None
    assert breaker.state is CircuitState.OPEN
    assert breaker.admit(5.0) is PROBE
    assert breaker.record(ORDINARY, result, 5.0) is None
    assert not breaker.allows(5.0), "the probe is in progress"


@given(st.lists(st.tuples(st.floats(0, 20), st.sampled_from([SUCCESS, FAILURE, UNKNOWN])), max_size=60))
def test_a_probe_is_always_admitted_eventually_and_never_two_at_once(
    steps: list[tuple[float, bool | None]],
) -> None:
    breaker, now = CircuitBreaker(), 0.0
    for seconds, result in steps:
        now += seconds
        admission = breaker.admit(now)
        if admission is PROBE:
            assert breaker.admit(now) is None
        if admission is not None:
            breaker.record(admission, result, now)
    assert breaker.allows(now + 60.0)
