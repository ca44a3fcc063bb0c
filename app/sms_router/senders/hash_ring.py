"""Consistent hashing: the same contact gets the same one of several equal senders, on every replica.

A sender that leaves or is skipped moves only its own contacts, and the choice costs the same for 10
senders and 10,000.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from struct import unpack

from sms_router.senders.models import Sender

_POINTS_PER_SENDER = 8
"""More are fairer and cost eight bytes each."""
_MAX_SENDERS = 1 << 20
_HASH_MASK = (1 << 64) - _MAX_SENDERS


class HashRing:
    """Senders of one kind that serve a contact equally well; their addresses alone decide the order.

    A point is one integer, the hash in the high bits and the sender's index in the low ones, so that a
    ring of 10,000 senders takes 640 kB and no objects.
    """

    __slots__ = ("_points", "_senders", "only")

    def __init__(self, senders: Iterable[Sender]) -> None:
        self._senders = tuple(sorted(senders, key=_sort_key))
        assert len(self._senders) < _MAX_SENDERS, "the index of a sender has 20 bits"
        points = (point for index, sender in enumerate(self._senders) for point in _points(index, sender))
        self._points = array("Q", sorted(points))
        self.only = self._senders[0] if len(self._senders) == 1 else None
        """The sender, where there is only one."""

    def __len__(self) -> int:
        return len(self._senders)

    def __iter__(self) -> Iterator[Sender]:
        """Yield every sender once, by address."""
        return iter(self._senders)

    def holds(self, sender: Sender) -> bool:
        senders = self._senders
        at = bisect_left(senders, _sort_key(sender), key=_sort_key)
        return at < len(senders) and senders[at] == sender

    def first(self, contact: str) -> Sender:
        """Return the first sender of `iter_from`; the ring must not be empty."""
        points = self._points
        start = bisect_left(points, _hash(contact))
        return self._senders[points[start % len(points)] % _MAX_SENDERS]

    def iter_from(self, contact: str) -> Iterator[Sender]:
        """Yield every sender once, from the contact's place on the ring on."""
        points = self._points
        start = bisect_left(points, _hash(contact))
        seen: set[int] = set()
        for offset in range(len(points)):
            index = points[(start + offset) % len(points)] % _MAX_SENDERS
            if index not in seen:
                seen.add(index)
                yield self._senders[index]
            if len(seen) == len(self._senders):
                return


def _sort_key(sender: Sender) -> tuple[str, str]:
    return sender.address, sender.sid


def _points(index: int, sender: Sender) -> Iterator[int]:
    digest = blake2b(sender.address.encode(), digest_size=8 * _POINTS_PER_SENDER).digest()
    return ((value & _HASH_MASK) | index for value in unpack(f">{_POINTS_PER_SENDER}Q", digest))


def _hash(contact: str) -> int:
    digest = blake2b(contact.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") & _HASH_MASK
