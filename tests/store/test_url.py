from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from sms_router.store.url import Address, RedisUrl, Topology

READ = [
    ("redis://h:1/2", Topology.SERVER, (Address("h", 1, database=2),), Address("h", 1, database=2), ""),
    ("unix:///s", Topology.SERVER, (Address("localhost", 6379, "/s"),), Address("localhost", 6379, "/s"), ""),
    (
        "redis+cluster://a:1,b,[::1]:3",
        Topology.CLUSTER,
        (Address("a", 1), Address("b", 6379), Address("::1", 3)),
        Address("a", 1),
        "",
    ),
    (
        "redis+sentinel://[::1],b, [::2]:5/mine",
        Topology.SENTINEL,
        (Address("::1", 26379), Address("b", 26379), Address("::2", 5)),
        Address("::1", 6379),
        "mine",
    ),
    (
        "redis+cluster://u:p%40ss@a:1,b:2/0?socket_timeout=3",
        Topology.CLUSTER,
        (Address("a", 1, username="u", password="p@ss"), Address("b", 2, username="u", password="p@ss")),
        Address("a", 1, username="u", password="p@ss"),
        "",
    ),
    (
        "redis+sentinel://:p@a,b:5/mine/3?sentinel_username=s&sentinel_password=q",
        Topology.SENTINEL,
        (Address("a", 26379, username="s", password="q"), Address("b", 5, username="s", password="q")),
        Address("a", 6379, password="p", database=3),
        "mine",
    ),
    ("redis+sentinel://a/mine", Topology.SENTINEL, (Address("a", 26379),), Address("a", 6379), "mine"),
]

REFUSED = [
    ("redis://host/sms", "database by a number, like redis://host:6379/0"),
    ("rediss://host:6379/0/1", "database by a number"),
    ("http://h", "must be redis://"),
    ("redis+clusters://h", "must be redis://"),
    ("unix+cluster:///s", "must be redis://"),
    ("redis://:p@ss:w/rd@h", "in a password, / is written %2F"),
    ("redis+cluster://h:port", "must be redis://"),
    ("redis+cluster://a,[::1", "must be redis://"),
    ("redis+cluster://a,[b]", "must be redis://"),
    ("redis+cluster://a[::1]", "must be redis://"),
    ("redis+cluster://[::1]a", "must be redis://"),
    ("redis://a,[::1]", "must be redis://"),
    ("redis+cluster://a,,b", "a comma too many"),
    ("redis+cluster://", "names no host"),
    ("redis+cluster://a/1", "only database 0"),
    ("redis+cluster://a?db=1", "only database 0"),
    ("redis+sentinel://a", r"redis\+sentinel://host:26379,host:26379/mymaster"),
    ("redis+sentinel://a/", "must name the master"),
    ("redis+sentinel://a/mine/first", "as you like its database"),
]


@pytest.mark.parametrize(("url", "topology", "seeds", "login", "master"), READ)
def test_a_url_is_parsed(
    url: str, topology: Topology, seeds: tuple[Address, ...], login: Address, master: str
) -> None:
    found = RedisUrl.parse(url)
    assert (found.topology, found.seeds, found.login, found.master) == (topology, seeds, login, master)


@pytest.mark.parametrize(("url", "sentence"), REFUSED)
def test_a_refused_url_has_the_expected_format(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        RedisUrl.parse(url)


@pytest.mark.parametrize(
    "url", ["redis://:s3cret@a?foo=bar", "redis+sentinel://a/mine?foo=bar", "unix:///s?foo=bar"]
)
def test_an_unknown_option_is_named(url: str) -> None:
    with pytest.raises(ValueError, match="has the option 'foo', which redis-py does not know"):
        RedisUrl.parse(url)


@pytest.mark.parametrize(
    "url", ["redis://a?socket_timeout=5&health_check_interval=3", "redis+cluster://a?protocol=3"]
)
def test_options_of_redis_py_are_accepted(url: str) -> None:
    RedisUrl.parse(url)


@pytest.mark.parametrize("url", ["rediss+cluster://a,b?ssl_cert_reqs=none", "rediss+sentinel://a,b/mine"])
def test_tls_applies_to_every_server(url: str) -> None:
    found = RedisUrl.parse(url)
    assert found.login.tls is not None
    assert {seed.tls for seed in found.seeds} == {found.login.tls}
    assert found.first_url.startswith("rediss://a")


def test_a_missing_certificate_is_no_url_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        RedisUrl.parse(f"rediss+cluster://a?ssl_ca_certs={tmp_path / 'none.pem'}")


ADDRESSES = [
    ("redis://localhost", Address("localhost", 6379)),
    ("redis://10.0.0.1:7000/3", Address("10.0.0.1", 7000, database=3)),
    ("redis://:p%40ss@h", Address("h", 6379, password="p@ss")),
    ("redis://user:pass@h:1", Address("h", 1, username="user", password="pass")),
    ("unix:///tmp/s", Address("localhost", 6379, path="/tmp/s")),
    ("unix://:secret@/tmp/s?db=2", Address("localhost", 6379, path="/tmp/s", password="secret", database=2)),
]

HANDSHAKES = [
    (Address("h", 1), []),
    (Address("h", 1, password="p"), [("AUTH", "p")]),
    (Address("h", 1, username="u", password="p", database=2), [("AUTH", "u", "p"), ("SELECT", 2)]),
]


@pytest.mark.parametrize(("url", "address"), ADDRESSES)
def test_a_plain_url_is_an_address(url: str, address: Address) -> None:
    assert Address.parse(url) == address


@pytest.mark.parametrize(("address", "commands"), HANDSHAKES)
def test_a_connection_begins_with_the_login(address: Address, commands: list[tuple[object, ...]]) -> None:
    assert address.handshake() == commands


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", ""])
def test_another_url_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Address.parse(url)


def test_tls_checks_the_certificate_unless_the_url_says_otherwise() -> None:
    strict, lax = Address.parse("rediss://h").tls, Address.parse("rediss://h?ssl_cert_reqs=none").tls
    assert strict is not None
    assert strict.verify_mode is ssl.CERT_REQUIRED
    assert strict.check_hostname
    assert lax is not None
    assert lax.verify_mode is ssl.CERT_NONE


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(Address.parse("redis://:secret@h"))
