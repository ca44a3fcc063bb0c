"""A stable choice among equals: the same person gets the same sender, on every replica.

Consistent hashing, so that a sender which leaves or is passed over moves only the people who
would have been answered from it, and the choice costs the same for ten senders and ten thousand.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from struct import unpack

from sms_router.senders.models import Sender

_POINTS = 8
"""Places of one sender on the ring; more are fairer and cost eight bytes each."""
_INDEX_BITS = 20
_MOST_SENDERS = 1 << _INDEX_BITS
_HASH_MASK = (1 << 64) - _MOST_SENDERS


class HashRing:
    """Senders of one kind that serve a person equally well.

    A place is one number: the hash above, the sender's index below, so that a ring of ten
    thousand takes 640 kB and no objects.
    """

    __slots__ = ("_places", "_senders")

    def __init__(self, senders: Iterable[Sender]) -> None:
        """Place every sender on the ring, by its address and nothing else."""
        self._senders = tuple(sorted(senders, key=_order))
        assert len(self._senders) < _MOST_SENDERS, "a ring counts its senders in 20 bits"
        places = (place for index, sender in enumerate(self._senders) for place in _points(index, sender))
        self._places = array("Q", sorted(places))

    def __len__(self) -> int:
        """How many senders the ring has."""
        return len(self._senders)

    def __iter__(self) -> Iterator[Sender]:
        """Yield every sender once, by address."""
        return iter(self._senders)

    def holds(self, sender: Sender) -> bool:
        """Tell whether the sender is one of the ring's."""
        senders = self._senders
        at = bisect_left(senders, _order(sender), key=_order)
        return at < len(senders) and senders[at] == sender

    def first(self, person: str) -> Sender:
        """Return the sender whose turn it is for this person; the ring must not be empty."""
        if len(self._senders) == 1:
            return self._senders[0]
        places = self._places
        start = bisect_left(places, _key(person))
        return self._senders[places[start % len(places)] % _MOST_SENDERS]

    def iter_from(self, person: str) -> Iterator[Sender]:
        """Yield every sender once, in the order in which this person gets them."""
        places = self._places
        start = bisect_left(places, _key(person))
        seen: set[int] = set()
        for offset in range(len(places)):
            index = places[(start + offset) % len(places)] % _MOST_SENDERS
            if index not in seen:
                seen.add(index)
                yield self._senders[index]
            if len(seen) == len(self._senders):
                return


def _order(sender: Sender) -> tuple[str, str]:
    return sender.address, sender.sid


def _points(index: int, sender: Sender) -> Iterator[int]:
    digest = blake2b(sender.address.encode(), digest_size=8 * _POINTS).digest()
    return ((point & _HASH_MASK) | index for point in unpack(f">{_POINTS}Q", digest))


def _key(person: str) -> int:
    digest = blake2b(person.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") & _HASH_MASK
