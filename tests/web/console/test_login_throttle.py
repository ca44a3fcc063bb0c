from __future__ import annotations

from sms_router.web.console.login_throttle import MAX_PER_ADDRESS, MOST_OF_ALL, PERIOD, LoginThrottle


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_address_that_has_failed_too_often_waits_and_others_do_not() -> None:
    clock = Clock()
    attempts = LoginThrottle(clock)
    for _ in range(MAX_PER_ADDRESS):
        assert not attempts.retry_after("10.0.0.1")
        attempts.failed("10.0.0.1")
    assert attempts.retry_after("10.0.0.1") == PERIOD
    assert not attempts.retry_after("10.0.0.2")
    clock.now += PERIOD
    assert not attempts.retry_after("10.0.0.1")


def test_many_addresses_guess_no_faster() -> None:
    attempts = LoginThrottle(Clock())
    for number in range(MOST_OF_ALL):
        attempts.failed(f"10.0.0.{number}")
    assert attempts.retry_after("192.0.2.1") == PERIOD


def test_what_is_kept_is_bounded() -> None:
    attempts = LoginThrottle(Clock())
    for number in range(5000):
        attempts.failed(str(number))
    assert len(attempts._by_peer) == 1000
