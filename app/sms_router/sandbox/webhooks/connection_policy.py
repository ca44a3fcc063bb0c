"""Timeouts and retries of webhooks: Twilio's defaults, and the ``#rc=…&rp=…`` overrides (facts 1.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl


class WebhookFailureKind(Enum):
    """Sorts of failure that may be retried; the values are those of ``rp``."""

    CONNECT = "ct"
    READ = "rt"
    CLIENT_ERROR = "4xx"
    SERVER_ERROR = "5xx"


@dataclass(frozen=True, slots=True)
class ConnectionPolicy:
    """Timeouts in seconds, and what is retried how often. The defaults are Twilio's.

    ``read`` limits the wait for the first packet and between packets, ``total`` the whole call.
    """

    connect: float = 5.0
    read: float = 15.0
    total: float = 15.0
    retries: int = 1
    retried: frozenset[WebhookFailureKind] = field(default=frozenset({WebhookFailureKind.CONNECT}))


class InvalidOverrideError(Exception):
    """A fragment that Twilio does not accept, with the debugger's code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


_EDGES = frozenset(
    {"ashburn", "dublin", "frankfurt", "sao-paulo", "singapore", "sydney", "tokyo", "umatilla"}
)


def apply_overrides(url: str, policy: ConnectionPolicy) -> ConnectionPolicy:
    """Return the policy with the overrides in a URL's fragment; raise `InvalidOverrideError`.

    Other fragments have no effect.
    """
    changes: dict[str, Any] = {}
    for key, value in parse_qsl(url.partition("#")[2], keep_blank_values=True):
        if key in _READERS:
            changes.update(_READERS[key](key, value))
    return replace(policy, **changes)


def _milliseconds(field_name: str, maximum: int) -> Callable[[str, str], Mapping[str, Any]]:
    def read(key: str, value: str) -> Mapping[str, Any]:
        return {field_name: _whole_number(key, value, 100, maximum) / 1000}

    return read


def _retries(key: str, value: str) -> Mapping[str, Any]:
    return {"retries": _whole_number(key, value, 0, 5)}


def _retried(_: str, value: str) -> Mapping[str, Any]:
    known = {kind.value: {kind} for kind in WebhookFailureKind} | {"all": set(WebhookFailureKind)}
    retried: set[WebhookFailureKind] = set()
    for word in value.split(","):
        if word not in known:
            raise InvalidOverrideError(11243, f"rp={value}: {word!r} is none of {', '.join(known)}")
        retried |= known[word]
    return {"retried": frozenset(retried)}


def _edges(_: str, value: str) -> Mapping[str, Any]:
    """Check the edges; the sandbox cannot show from which one a request comes.

    INFERENCE: the difference between 11240 (bad) and 11241 (unsupported): bad is what cannot be a name,
    unsupported a name that is unknown. The sandbox's account has no Interconnect (11242).
    """
    for edge in value.split(","):
        if not edge.replace("-", "").isalnum() or edge != edge.lower():
            raise InvalidOverrideError(11240, f"e={value}: {edge!r} is not the name of an edge")
        if edge.removesuffix("-ix") not in _EDGES:
            raise InvalidOverrideError(11241, f"e={value}: {edge!r} is not a supported edge")
        if edge.endswith("-ix"):
            raise InvalidOverrideError(11242, f"e={value}: the account has no Interconnect for {edge!r}")
    return {}


def _server_name(key: str, value: str) -> Mapping[str, Any]:
    """Check the value; the sandbox sends the server name in each TLS handshake all the same."""
    if value not in ("y", "n"):
        raise InvalidOverrideError(11100, f"{key}={value}: expected y or n")
    return {}


def _whole_number(key: str, value: str, minimum: int, maximum: int) -> int:
    """INFERENCE: Twilio documents no code for a number out of range; the URL counts as invalid."""
    if not (value.isascii() and value.isdigit() and len(value) < 10 and minimum <= int(value) <= maximum):
        reason = f"{key}={value}: expected a whole number from {minimum} to {maximum}"
        raise InvalidOverrideError(11100, reason)
    return int(value)


_READERS: dict[str, Callable[[str, str], Mapping[str, Any]]] = {
    "ct": _milliseconds("connect", 10_000),
    "rt": _milliseconds("read", 15_000),
    "tt": _milliseconds("total", 15_000),
    "rc": _retries,
    "rp": _retried,
    "e": _edges,
    "sni": _server_name,
}
