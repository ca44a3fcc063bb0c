import ssl

import pytest

from sms_router.store.address import Address

READ = [
    ("redis://localhost", Address("localhost", 6379)),
    ("redis://10.0.0.1:7000/3", Address("10.0.0.1", 7000, database=3)),
    ("redis://:p%40ss@h", Address("h", 6379, password="p@ss")),
    ("redis://user:pass@h:1", Address("h", 1, username="user", password="pass")),
    ("unix:///tmp/s", Address("localhost", 6379, path="/tmp/s")),
    ("unix://:secret@/tmp/s?db=2", Address("localhost", 6379, path="/tmp/s", password="secret", database=2)),
]

GREETINGS = [
    (Address("h", 1), []),
    (Address("h", 1, password="p"), [("AUTH", "p")]),
    (Address("h", 1, username="u", password="p", database=2), [("AUTH", "u", "p"), ("SELECT", 2)]),
]


@pytest.mark.parametrize(("url", "address"), READ)
def test_a_url_says_where_redis_is(url: str, address: Address) -> None:
    assert Address.of(url) == address


@pytest.mark.parametrize(("address", "commands"), GREETINGS)
def test_a_connection_begins_with_the_login(address: Address, commands: list[tuple[object, ...]]) -> None:
    assert address.handshake() == commands


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", ""])
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Address.of(url)


def test_tls_checks_the_certificate_unless_the_url_says_otherwise() -> None:
    strict, lax = Address.of("rediss://h").tls, Address.of("rediss://h?ssl_cert_reqs=none").tls
    assert strict is not None
    assert strict.verify_mode is ssl.CERT_REQUIRED
    assert strict.check_hostname
    assert lax is not None
    assert lax.verify_mode is ssl.CERT_NONE


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(Address.of("redis://:secret@h"))
