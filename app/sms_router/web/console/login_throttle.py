"""A limit on wrong passwords, by browser, by address and in total; the address behind proxies."""

from __future__ import annotations

import contextlib
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

PERIOD = 60.0
"""Seconds in which wrong passwords are counted."""

MAX_PER_SOURCE = 5

MAX_IN_TOTAL = 60
"""From all addresses together: many machines must not guess faster."""

_MAX_SOURCES = 1000
_MAX_FORWARDED_LENGTH = 1000

Network = IPv4Network | IPv6Network


class LoginThrottle:
    """Counts the wrong passwords that this worker has received; ``clock`` is monotonic, in seconds.

    A browser in which a login has succeeded before is a source of its own: whatever others try, from the
    same address or from many, its operator gets in.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_source: OrderedDict[str, deque[float]] = OrderedDict()
        self._unknown: deque[float] = deque(maxlen=MAX_IN_TOTAL)

    def retry_after(self, source: str, *, is_known: bool = False) -> float:
        """Return the seconds until this source may try again; 0 when it may now.

        ``source`` is an address, or with ``is_known`` the cookie of a browser.
        """
        own = self._remaining(self._by_source.get(source, deque()), MAX_PER_SOURCE)
        return own if is_known else max(own, self._remaining(self._unknown, MAX_IN_TOTAL))

    def record_failure(self, source: str, *, is_known: bool = False) -> None:
        now = self._clock()
        if not is_known:
            self._unknown.append(now)
        self._by_source.setdefault(source, deque(maxlen=MAX_PER_SOURCE)).append(now)
        self._by_source.move_to_end(source)
        if len(self._by_source) > _MAX_SOURCES:
            self._by_source.popitem(last=False)

    def _remaining(self, failures: deque[float], limit: int) -> float:
        return max(0.0, failures[0] + PERIOD - self._clock()) if len(failures) == limit else 0.0


def client_address(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """Return the address of a client: the last one of X-Forwarded-For that is not a trusted proxy's.

    Each proxy appends the address that it was called from, so what stands before the first one that is not
    trusted may be invented. Of an IPv6 address only the network counts: a machine has a whole one.
    """
    address = _parse(peer)
    for hop in reversed(forwarded[-_MAX_FORWARDED_LENGTH:].split(",")):
        if address is None or not any(address in network for network in trusted):
            break
        address = _parse(hop) or address
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return peer if address is None else str(address)


def _parse(hop: str) -> IPv4Address | IPv6Address | None:
    """Return an address, which may be in brackets and have a port; None for anything else."""
    for text in (hop.strip(), hop.strip().rpartition(":")[0]):
        with contextlib.suppress(ValueError):
            address = ip_address(text.strip("[]"))
            return getattr(address, "ipv4_mapped", None) or address
    return None
