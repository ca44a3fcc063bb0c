"""Times by scope and contact, in 16 bytes each: a list of a million opt-outs fits into each worker."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator

from sms_router.store.keys import BUCKETS, bucket_of

OptOutKey = tuple[str, str]
"""The scope (a Service's sid, or one of our numbers outside Services) and the contact."""

_PARTS_PER_BUCKET = 64
_NUMBER_BITS = 50
"""E.164 has 15 digits at most."""
_MAX_SCOPES = 1 << 64 - _NUMBER_BITS


class OptOutTimes:
    """A dictionary from contacts to times in milliseconds, which keeps numbers as integers.

    The entries are spread over sorted arrays, so short that an insertion moves few bytes. What is no number
    in E.164 (WhatsApp, names), and the scopes beyond 16,384, are in ordinary dictionaries.
    """

    def __init__(self) -> None:
        self._scopes: dict[str, int] = {}
        self._scope_names: list[str] = []
        self._parts: list[tuple[array[int], array[int]] | None] = [None] * (BUCKETS * _PARTS_PER_BUCKET)
        self._others: list[dict[OptOutKey, int]] = [{} for _ in range(BUCKETS)]
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, key: OptOutKey) -> bool:
        return self.get(key) is not None

    def get(self, key: OptOutKey) -> int | None:
        if key[0] not in self._scopes and len(self._scopes) < _MAX_SCOPES:
            return None  # called for every message, and most Services have few opt-outs or none
        packed = self._pack(key)
        if packed is None:
            return self._others[bucket_of(key[1]).number].get(key)
        part = self._parts[_part_of(key, packed)]
        if part is None:
            return None
        keys, times = part
        place = bisect_left(keys, packed)
        return times[place] if place < len(keys) and keys[place] == packed else None

    def __setitem__(self, key: OptOutKey, at: int) -> None:
        scope, contact = key
        if scope not in self._scopes and len(self._scopes) < _MAX_SCOPES:
            self._scopes[scope] = len(self._scopes)
            self._scope_names.append(scope)
        packed = self._pack(key)
        if packed is None:
            others = self._others[bucket_of(contact).number]
            self._size += key not in others
            others[sys.intern(scope), contact] = at
            return
        index = _part_of(key, packed)
        keys, times = self._parts[index] = self._parts[index] or (array("Q"), array("Q"))
        place = bisect_left(keys, packed)
        if place < len(keys) and keys[place] == packed:
            times[place] = at
        else:
            keys.insert(place, packed)
            times.insert(place, at)
            self._size += 1

    def discard(self, key: OptOutKey) -> None:
        """Remove a contact who may be there."""
        if key not in self:
            return
        packed = self._pack(key)
        self._size -= 1
        if packed is None:
            del self._others[bucket_of(key[1]).number][key]
        elif (part := self._parts[_part_of(key, packed)]) is not None:
            place = bisect_left(part[0], packed)
            del part[0][place], part[1][place]

    def parts_of(self, bucket: int) -> Iterator[list[tuple[OptOutKey, int]]]:
        """Yield the entries of one bucket (`store.keys`), some at a time; others may change in between."""
        first, mask = bucket * _PARTS_PER_BUCKET, (1 << _NUMBER_BITS) - 1
        for index in range(first, first + _PARTS_PER_BUCKET):
            if (part := self._parts[index]) is not None:
                names, pairs = self._scope_names, zip(*part, strict=True)
                yield [((names[packed >> _NUMBER_BITS], f"+{packed & mask}"), at) for packed, at in pairs]
        yield list(self._others[bucket].items())

    def _pack(self, key: OptOutKey) -> int | None:
        """Return the key as an integer; None where it does not fit, or its scope is unknown."""
        scope, contact = self._scopes.get(key[0]), key[1]
        digits = contact[1:]
        if (
            scope is None
            or contact[:1] != "+"
            or not contact.isascii()
            or not digits.isdigit()
            or digits[0] == "0"
            or len(digits) > 15
        ):
            return None
        return scope << _NUMBER_BITS | int(digits)


def _part_of(key: OptOutKey, packed: int) -> int:
    return bucket_of(key[1]).number * _PARTS_PER_BUCKET + packed % _PARTS_PER_BUCKET
