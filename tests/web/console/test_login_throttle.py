from __future__ import annotations

import pickle
from ipaddress import ip_network

import pytest

from sms_router.web.console.login_throttle import LoginThrottle, client_address


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
    assert throttle.retry_after("a known browser", is_known=True) == 0


def test_a_known_browser_waits_for_its_own_failures_only() -> None:
    throttle = LoginThrottle(Clock())
    for _ in range(5):
        throttle.record_failure("browser", is_known=True)
    assert throttle.retry_after("browser", is_known=True) == 60
    assert throttle.retry_after("another", is_known=True) == 0


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.7", "", "198.51.100.7"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "192.0.2.1, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "192.0.2.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("127.0.0.1", "10.1.2.3", "10.1.2.3"),
        ("127.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("127.0.0.1", "[2001:db8::1]:4711", "2001:db8::/64"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9, nonsense", "203.0.113.9"),
        ("::ffff:127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("2001:db8:0:1:2:3:4:5", "", "2001:db8:0:1::/64"),
        ("", "203.0.113.9", ""),
    ],
)
def test_the_address_of_a_client_is_the_last_one_that_is_not_a_trusted_proxy(
    peer: str, forwarded: str, address: str
) -> None:
    trusted = [ip_network("127.0.0.1"), ip_network("10.0.0.0/8")]
    assert client_address(peer, forwarded, trusted) == address


def test_the_memory_that_it_takes_is_bounded() -> None:
    throttle = LoginThrottle(Clock())
    sizes = []
    for first in (0, 1000, 5000):
        for number in range(first, first + 1000):
            throttle.record_failure(f"{number:08}")
        sizes.append(len(pickle.dumps(throttle)))
    assert sizes[0] == sizes[1] == sizes[2]
