from __future__ import annotations

import pickle

from sms_router.web.console.login_throttle import LoginThrottle


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_address_with_too_many_failures_waits_and_others_do_not() -> None:
    clock = Clock()
    throttle = LoginThrottle(clock)
    for _ in range(5):
        assert throttle.retry_after("10.0.0.1") == 0
        throttle.record_failure("10.0.0.1")
    assert throttle.retry_after("10.0.0.1") == 60
    assert throttle.retry_after("10.0.0.2") == 0
    clock.now += 20
    assert throttle.retry_after("10.0.0.1") == 40
    clock.now += 40
    assert throttle.retry_after("10.0.0.1") == 0


def test_many_addresses_cannot_guess_faster() -> None:
    throttle = LoginThrottle(Clock())
    for number in range(60):
        assert throttle.retry_after("192.0.2.1") == 0
        throttle.record_failure(f"10.0.0.{number}")
    assert throttle.retry_after("192.0.2.1") == 60


def test_the_memory_that_it_takes_is_bounded() -> None:
    throttle = LoginThrottle(Clock())
    sizes = []
    for first in (0, 1000, 5000):
        for number in range(first, first + 1000):
            throttle.record_failure(f"{number:08}")
        sizes.append(len(pickle.dumps(throttle)))
    assert sizes[0] == sizes[1] == sizes[2]
