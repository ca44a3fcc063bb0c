"""What Redis we are told of: one server, the nodes of a Cluster, or the Sentinels of a master."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from redis.connection import ConnectionPool

from sms_router.store.address import Address

_SCHEMES = ("redis", "rediss")
_SENTINEL_PORT = 26379
_PARTS = re.compile(r"([A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
"""Scheme, authority, path, query and fragment (RFC 3986, appendix B)."""
_BRACKETS = re.compile(r"(?:\[[^][]*\]|[^][]*)(?::[^][]*)?")
"""A host and its port: brackets, if any, are around the whole host."""

SHAPES = (
    "redis://host:6379/0, redis+cluster://host:6379,host:6379 or"
    " redis+sentinel://host:26379,host:26379/mymaster; rediss for TLS, unix:///path/to/socket, or empty"
)
"""What a Redis URL looks like, for messages about one that does not."""


class Topology(Enum):
    """How many servers hold the data, and who knows where they are."""

    SERVER = "server"
    CLUSTER = "cluster"
    SENTINEL = "sentinel"


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """Where to ask, and how to log in at what is found there."""

    kind: Topology
    url: str
    """A plain URL of the first server, with login and TLS as they hold for every server."""
    seeds: tuple[Address, ...]
    """The server itself, some nodes of the Cluster, or the Sentinels."""
    login: Address
    """A server's address but for host and port: password, TLS and database."""
    master: str = ""
    """The name by which the Sentinels know the master."""

    async def only_door(self) -> Address:
        """Return where a single server is."""
        return self.seeds[0]

    @classmethod
    def of(cls, url: str) -> RedisUrl:
        """Read a Redis URL.

        ``redis+cluster://user:password@host:port,host:port`` names nodes of a Cluster, as many as
        you like; ``redis+sentinel://user:password@host:port,host:port/master/database`` the Sentinels,
        whose own login is ``?sentinel_username=...&sentinel_password=...``. ``rediss+`` is for TLS; the
        options are redis-py's.

        Raises:
            ValueError: with what it should be; the URL itself is not repeated, since it may hold a password.
            OSError: when a certificate that it names cannot be read.

        """
        try:
            parts = _split(url)
            scheme, _, kind = parts.scheme.partition("+")
            if kind == "cluster" and scheme in _SCHEMES:
                return _checked(_cluster(parts, scheme))
            if kind == "sentinel" and scheme in _SCHEMES:
                return _checked(_sentinel(parts, scheme))
            _check_brackets(parts.netloc.rpartition("@")[2])
            address = Address.of(url)
            if scheme in _SCHEMES and not (parts.path.strip("/") or "0").isdecimal():
                raise DeploymentError("must name its database by a number, like redis://host:6379/0")
        except DeploymentError:
            raise
        except ValueError as error:
            escaped = "; in a password, / is written %2F, @ %40, : %3A and # %23" if "@" in url else ""
            raise ValueError(f"must be {SHAPES}{escaped}") from error
        return _checked(cls(Topology.SERVER, url, (address,), address))


class DeploymentError(ValueError):
    """A URL of the right kind that asks for what there is not."""


def _checked(found: RedisUrl) -> RedisUrl:
    """Return it, if redis-py can be told all of it: it takes any option, and fails when it connects."""
    try:
        ConnectionPool.from_url(found.url).make_connection()
    except TypeError as error:
        _, _, name = str(error).rpartition("argument ")
        raise DeploymentError(f"has the option {name}, which redis-py does not know") from error
    return found


def _split(url: str) -> SplitResult:
    """Split a URL that may name several hosts; each is checked when it is read as a URL of its own.

    `urlsplit` checks the authority as that of one host, and some patch releases of Python refuse a list
    with an IPv6 address in it.
    """
    found = _PARTS.fullmatch(url)
    if found is None:
        raise ValueError("there is no scheme with :// behind it")
    scheme, *others = found.groups("")
    return SplitResult(scheme.lower(), *others)


def _cluster(parts: SplitResult, scheme: str) -> RedisUrl:
    if parts.path.strip("/") not in {"", "0"} or dict(parse_qsl(parts.query)).get("db", "0") != "0":
        raise DeploymentError(
            "a Redis Cluster has only database 0; leave the number out: redis+cluster://host:6379,host:6379"
        )
    plain = [_plain(parts, scheme, host, "/0", parts.query) for host in _hosts(parts)]
    doors = tuple(map(Address.of, plain))
    login = doors[0]
    return RedisUrl(Topology.CLUSTER, plain[0], tuple(replace(door, tls=login.tls) for door in doors), login)


def _sentinel(parts: SplitResult, scheme: str) -> RedisUrl:
    master, _, database = parts.path.strip("/").partition("/")
    if not master or not (database or "0").isdigit():
        raise DeploymentError(
            "must name the master that the Sentinels watch: redis+sentinel://host:26379,host:26379/mymaster,"
            " and as you like its database: .../mymaster/0"
        )
    options = dict(parse_qsl(parts.query))
    username, password = options.pop("sentinel_username", None), options.pop("sentinel_password", None)
    plain = [_plain(parts, scheme, host, f"/{database}", urlencode(options)) for host in _hosts(parts)]
    login = Address.of(plain[0])
    doors = tuple(
        replace(
            Address.of(each),
            port=urlsplit(each).port or _SENTINEL_PORT,
            username=username,
            password=password,
            database=0,
            tls=login.tls,
        )
        for each in plain
    )
    return RedisUrl(Topology.SENTINEL, plain[0], doors, login, unquote(master))


def _hosts(parts: SplitResult) -> list[str]:
    hosts = [host.strip() for host in parts.netloc.rpartition("@")[2].split(",")]
    if not all(hosts):
        raise DeploymentError("has a comma too many, or names no host")
    for host in hosts:
        _check_brackets(host)
    return hosts


def _check_brackets(host: str) -> None:
    """Refuse what only some patch releases of Python refuse; the others take ``a,[::1]`` for ``::1``."""
    if not _BRACKETS.fullmatch(host):
        raise ValueError("brackets are not around the whole host")


def _plain(parts: SplitResult, scheme: str, host: str, path: str, query: str) -> str:
    login, at, _ = parts.netloc.rpartition("@")
    return f"{scheme}://{login}{at}{host}{path}{f'?{query}' if query else ''}"
