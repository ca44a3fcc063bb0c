"""Redis URLs: one server, the nodes of a Cluster, or the Sentinels of a master."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from redis.connection import ConnectionPool, parse_url

Command = tuple[Any, ...]

URL_FORMATS = (
    "redis://host:6379/0, redis+cluster://host:6379,host:6379 or"
    " redis+sentinel://host:26379,host:26379/mymaster; rediss for TLS, unix:///path/to/socket, or empty"
)
"""For messages about a URL of another format."""

_SCHEMES = ("redis", "rediss")
_SENTINEL_PORT = 26379
_PARTS = re.compile(r"([A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
"""Scheme, authority, path, query and fragment (RFC 3986, appendix B)."""
_BRACKETS = re.compile(r"(?:\[[^][]*\]|[^][]*)(?::[^][]*)?")
"""A host and its port: brackets, if any, are around the whole host."""


class RedisUrlError(ValueError):
    """A URL of the right format with an impossible setting."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens, and how to log in."""

    host: str
    port: int
    path: str | None = None
    """Of a Unix socket, in place of host and port."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, url: str) -> Address:
        """Parse ``redis://``, ``rediss://`` or ``unix://`` as redis-py does.

        Raises:
            ValueError: when the URL is not one of these.
            OSError: when a certificate file that it names cannot be read.

        """
        parts: dict[str, Any] = dict(parse_url(url))
        return cls(
            host=parts.get("host", "localhost"),
            port=int(parts.get("port", 6379)),
            path=parts.get("path"),
            username=parts.get("username"),
            password=parts.get("password"),
            database=int(parts.get("db", 0)),
            tls=tls_context(parts) if url.startswith("rediss://") else None,
        )

    def __str__(self) -> str:
        """``host:port``, or the path of the socket."""
        return self.path or (f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")

    def handshake(self) -> list[Command]:
        commands: list[Command] = []
        if self.password:
            login = (self.username, self.password) if self.username else (self.password,)
            commands.append(("AUTH", *login))
        if self.database:
            commands.append(("SELECT", self.database))
        return commands


class Topology(Enum):
    """How many servers have the data, and which of them has the addresses of the others."""

    SERVER = "server"
    CLUSTER = "cluster"
    SENTINEL = "sentinel"


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A parsed Redis URL."""

    topology: Topology
    first_url: str
    """A plain URL of the first server, with the login and TLS of every server."""
    seeds: tuple[Address, ...]
    """The server, some nodes of the Cluster, or the Sentinels."""
    login: Address
    """Password, TLS and database of every server; its host and port are those of the first."""
    master: str = ""
    """The name of the master at the Sentinels."""

    @classmethod
    def parse(cls, url: str) -> RedisUrl:
        """Parse a Redis URL.

        ``redis+cluster://user:password@host:port,host:port`` names any nodes of a Cluster;
        ``redis+sentinel://user:password@host:port,host:port/master/database`` the Sentinels, whose own
        login is ``?sentinel_username=...&sentinel_password=...``. ``rediss+`` is for TLS. Any other
        option is redis-py's.

        Raises:
            ValueError: with the expected format; the URL is not repeated, since it may contain a password.
            OSError: when a certificate file that it names cannot be read.

        """
        try:
            parts = _split(url)
            scheme, _, topology = parts.scheme.partition("+")
            if topology == "cluster" and scheme in _SCHEMES:
                return _checked(_parse_cluster(parts, scheme))
            if topology == "sentinel" and scheme in _SCHEMES:
                return _checked(_parse_sentinel(parts, scheme))
            _check_brackets(parts.netloc.rpartition("@")[2])
            address = Address.parse(url)
            if scheme in _SCHEMES and not (parts.path.strip("/") or "0").isdecimal():
                raise RedisUrlError("must name its database by a number, like redis://host:6379/0")
        except RedisUrlError:
            raise
        except ValueError as error:
            escaped = "; in a password, / is written %2F, @ %40, : %3A and # %23" if "@" in url else ""
            raise ValueError(f"must be {URL_FORMATS}{escaped}") from error
        return _checked(cls(Topology.SERVER, url, (address,), address))


def tls_context(parts: Mapping[str, Any]) -> ssl.SSLContext:
    """Apply the TLS options that redis-py takes from a URL, so that both clients agree."""
    context = ssl.create_default_context(
        cafile=parts.get("ssl_ca_certs"), capath=parts.get("ssl_ca_path"), cadata=parts.get("ssl_ca_data")
    )
    if parts.get("ssl_cert_reqs") == "none":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate := parts.get("ssl_certfile"):
        context.load_cert_chain(certificate, parts.get("ssl_keyfile"), parts.get("ssl_password"))
    return context


def _checked(url: RedisUrl) -> RedisUrl:
    """Check the options: redis-py accepts any in a URL, and fails when it connects."""
    try:
        ConnectionPool.from_url(url.first_url).make_connection()
    except TypeError as error:
        _, _, name = str(error).rpartition("argument ")
        raise RedisUrlError(f"has the option {name}, which redis-py does not know") from error
    return url


def _split(url: str) -> SplitResult:
    """Split a URL that may name several hosts; each is checked when it is parsed as a URL of its own.

    `urlsplit` checks the authority as that of one host, and some patch releases of Python refuse a list
    with an IPv6 address in it.
    """
    match = _PARTS.fullmatch(url)
    if match is None:
        raise ValueError("there is no scheme with :// behind it")
    scheme, *others = match.groups("")
    return SplitResult(scheme.lower(), *others)


def _parse_cluster(parts: SplitResult, scheme: str) -> RedisUrl:
    if parts.path.strip("/") not in {"", "0"} or dict(parse_qsl(parts.query)).get("db", "0") != "0":
        raise RedisUrlError(
            "a Redis Cluster has only database 0; leave the number out: redis+cluster://host:6379,host:6379"
        )
    urls = [_plain_url(parts, scheme, host, "/0", parts.query) for host in _hosts(parts)]
    nodes = tuple(map(Address.parse, urls))
    login = nodes[0]
    return RedisUrl(Topology.CLUSTER, urls[0], tuple(replace(node, tls=login.tls) for node in nodes), login)


def _parse_sentinel(parts: SplitResult, scheme: str) -> RedisUrl:
    master, _, database = parts.path.strip("/").partition("/")
    if not master or not (database or "0").isdigit():
        raise RedisUrlError(
            "must name the master that the Sentinels watch: redis+sentinel://host:26379,host:26379/mymaster,"
            " and as you like its database: .../mymaster/0"
        )
    options = dict(parse_qsl(parts.query))
    username, password = options.pop("sentinel_username", None), options.pop("sentinel_password", None)
    urls = [_plain_url(parts, scheme, host, f"/{database}", urlencode(options)) for host in _hosts(parts)]
    login = Address.parse(urls[0])
    sentinels = tuple(
        replace(
            Address.parse(url),
            port=urlsplit(url).port or _SENTINEL_PORT,
            username=username,
            password=password,
            database=0,
            tls=login.tls,
        )
        for url in urls
    )
    return RedisUrl(Topology.SENTINEL, urls[0], sentinels, login, unquote(master))


def _hosts(parts: SplitResult) -> list[str]:
    hosts = [host.strip() for host in parts.netloc.rpartition("@")[2].split(",")]
    if not all(hosts):
        raise RedisUrlError("has a comma too many, or names no host")
    for host in hosts:
        _check_brackets(host)
    return hosts


def _check_brackets(host: str) -> None:
    """Refuse what only some patch releases of Python refuse; the others take ``a,[::1]`` for ``::1``."""
    if not _BRACKETS.fullmatch(host):
        raise ValueError("brackets are not around the whole host")


def _plain_url(parts: SplitResult, scheme: str, host: str, path: str, query: str) -> str:
    login, at, _ = parts.netloc.rpartition("@")
    return f"{scheme}://{login}{at}{host}{path}{f'?{query}' if query else ''}"
