"""How patiently a webhook is called: Twilio's defaults, and the ``#rc=…&rp=…`` overrides (facts 1.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl


class WebhookFailureKind(Enum):
    """Sorts of failure that may be tried again; the value is the word in ``rp``."""

    CONNECT = "ct"
    READ = "rt"
    CLIENT_ERROR = "4xx"
    SERVER_ERROR = "5xx"


@dataclass(frozen=True, slots=True)
class ConnectionPolicy:
    """Timeouts in seconds, and what is tried again how often. A fresh one holds Twilio's defaults.

    ``read`` bounds the wait for the first packet and between packets, ``total`` everything together.
    """

    connect: float = 5.0
    read: float = 15.0
    total: float = 15.0
    retries: int = 1
    retried: frozenset[WebhookFailureKind] = field(default=frozenset({WebhookFailureKind.CONNECT}))


@dataclass(frozen=True, slots=True)
class BadOverride:
    """A fragment that Twilio does not accept, with the debugger's code."""

    code: int
    reason: str


_EDGES = frozenset(
    {"ashburn", "dublin", "frankfurt", "sao-paulo", "singapore", "sydney", "tokyo", "umatilla"}
)


class _BadOverrideError(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.bad = BadOverride(code, reason)


def overridden(url: str, policy: ConnectionPolicy) -> ConnectionPolicy | BadOverride:
    """Return the policy with the overrides in a URL's fragment; other fragments mean nothing."""
    _, _, fragment = url.partition("#")
    if not fragment:
        return policy
    changes: dict[str, Any] = {}
    try:
        for key, value in parse_qsl(fragment, keep_blank_values=True):
            if key in _READERS:
                changes.update(_READERS[key](key, value))
    except _BadOverrideError as error:
        return error.bad
    return replace(policy, **changes)


def _milliseconds(name: str, highest: int) -> Callable[[str, str], Mapping[str, Any]]:
    def read(key: str, value: str) -> Mapping[str, Any]:
        return {name: _whole(key, value, 100, highest) / 1000}

    return read


def _retries(key: str, value: str) -> Mapping[str, Any]:
    return {"retries": _whole(key, value, 0, 5)}


def _retried(_: str, value: str) -> Mapping[str, Any]:
    if value == "all":
        return {"retried": frozenset(WebhookFailureKind)}
    known = {trouble.value: trouble for trouble in WebhookFailureKind}
    words = value.split(",")
    wrong = [word for word in words if word not in known and word != "all"]
    if wrong:
        raise _BadOverrideError(11243, f"rp={value}: {wrong[0]!r} is none of {', '.join(known)}, all")
    return {
        "retried": frozenset(WebhookFailureKind)
        if "all" in words
        else frozenset(known[word] for word in words)
    }


def _edges(_: str, value: str) -> Mapping[str, Any]:
    """Check the edges; which one a request leaves from cannot be seen on a laptop.

    INFERENCE: which of 11240 (bad) and 11241 (unsupported) is which: a name that is none is bad, a
    name that nobody knows is unsupported. The sandbox's account has no Interconnect (11242).
    """
    for edge in value.split(","):
        if not edge.replace("-", "").isalnum() or edge != edge.lower():
            raise _BadOverrideError(11240, f"e={value}: {edge!r} is not the name of an edge")
        if edge.removesuffix("-ix") not in _EDGES:
            raise _BadOverrideError(11241, f"e={value}: {edge!r} is not a supported edge")
        if edge.endswith("-ix"):
            raise _BadOverrideError(11242, f"e={value}: the account has no Interconnect for {edge!r}")
    return {}


def _server_name(key: str, value: str) -> Mapping[str, Any]:
    """Check the switch; the sandbox names the host in each TLS handshake all the same."""
    if value not in ("y", "n"):
        raise _BadOverrideError(11100, f"{key}={value}: expected y or n")
    return {}


def _whole(key: str, value: str, lowest: int, highest: int) -> int:
    """Read a number. INFERENCE: Twilio names no code for one out of range; the URL counts as invalid."""
    if not (value.isascii() and value.isdigit() and len(value) < 10 and lowest <= int(value) <= highest):
        raise _BadOverrideError(11100, f"{key}={value}: expected a whole number from {lowest} to {highest}")
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
