"""Hash slots of a Redis Cluster: which slot has a key, which node has a slot, where an error redirects."""

from __future__ import annotations

import re
from binascii import crc_hqx
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from sms_router.store.keys import ALL_BUCKETS, SCHEMA, SCHEMA_PROBE, SUSPECTED

_HASH_TAG = re.compile(rb"[^{]*\{([^}]+)\}")


def slot_of(key: bytes) -> int:
    """Return the slot of a key: that of its hash tag, where it has one."""
    tag = _HASH_TAG.match(key)
    return crc_hqx(tag[1] if tag is not None else key, 0) % 16_384


SLOT_OF_BUCKET = tuple(slot_of(bucket.journal) for bucket in ALL_BUCKETS)
"""The slot of each bucket; no two buckets share one."""

PROBE_OF_SLOT = {slot_of(SCHEMA): SCHEMA_PROBE, slot_of(SUSPECTED): SUSPECTED + b":probe"} | dict(
    zip(SLOT_OF_BUCKET, (bucket.probe for bucket in ALL_BUCKETS), strict=True)
)
"""For each slot on which the workers run scripts, a key that a probe may write."""


class Node(NamedTuple):
    """Where a node listens."""

    host: str
    port: int


class RedirectKind(StrEnum):
    """The error with which a node refuses a command for keys that it does not have."""

    MOVED = "MOVED"
    """The slot belongs to another node from now on."""
    ASK = "ASK"
    """The slot is being moved, and this key is on the new node already."""
    TRYAGAIN = "TRYAGAIN"
    """The slot is being moved, and only some of the keys are on the new node."""


class Redirection(NamedTuple):
    """Where to send a command instead."""

    kind: RedirectKind
    node: Node | None = None
    """None where the error names none: the owner of the slot."""


_REDIRECTION = re.compile(r"(MOVED|ASK) [0-9]+ (.*):([0-9]+)")


def parse_redirection(error: str, host: str) -> Redirection | None:
    """Parse an error; None when it redirects nowhere. ``host`` sent it, and is meant where it names none."""
    if error.startswith(RedirectKind.TRYAGAIN):
        return Redirection(RedirectKind.TRYAGAIN)
    if (match := _REDIRECTION.match(error)) is None:
        return None
    return Redirection(RedirectKind(match[1]), Node(match[2] or host, int(match[3])))


def owners_of(slots: Iterable[int], ranges: Sequence[Sequence[Any]], host: str) -> dict[int, Node]:
    """Return the owners of some slots from what CLUSTER SLOTS returned; slots without an owner are left out.

    ``host`` sent it, and is meant by a node that does not know its own address.
    """
    owners: dict[int, Node] = {}
    wanted = sorted(slots)
    for first, last, (node_host, port, *_), *_ in ranges:
        node = Node((node_host or b"").decode() or host, int(port))
        owners.update((slot, node) for slot in wanted if first <= slot <= last)
    return owners
