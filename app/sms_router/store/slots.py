"""Redis Cluster's own terms: which slot a key is in, which node owns a slot, where an answer points."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from redis.crc import key_slot

from sms_router.store.keys import ALL_BUCKETS

SLOT_OF_BUCKET = tuple(key_slot(bucket.journal) for bucket in ALL_BUCKETS)
"""Where each bucket of people lies; no two share a slot."""

slot_of = key_slot
"""Given a key, its slot: that of its hash tag."""


class Node(NamedTuple):
    """Where a node listens."""

    host: str
    port: int


class RedirectKind(StrEnum):
    """What a node answers that a command is not for it."""

    MOVED = "MOVED"
    """The slot belongs to another node from now on."""
    ASK = "ASK"
    """The slot is on its way to another node, and this key has gone there."""
    TRYAGAIN = "TRYAGAIN"
    """The slot is on its way, and only some of the keys have gone."""


class Redirection(NamedTuple):
    """Where a command belongs instead."""

    turn: RedirectKind
    node: Node | None = None
    """None where the answer names none: then it is the owner of the slot."""


_REDIRECTION = re.compile(r"(MOVED|ASK) [0-9]+ (.*):([0-9]+)")


def redirection_of(error: str, asked: str) -> Redirection | None:
    """Read an error; None when it redirects nobody. Where it names no host, it means the one ``asked``."""
    if error.startswith(RedirectKind.TRYAGAIN):
        return Redirection(RedirectKind.TRYAGAIN)
    if (found := _REDIRECTION.match(error)) is None:
        return None
    return Redirection(RedirectKind(found[1]), Node(found[2] or asked, int(found[3])))


def owners_of(slots: Iterable[int], answer: Sequence[Sequence[Any]], asked: str) -> dict[int, Node]:
    """Read the answer of CLUSTER SLOTS: who owns these slots. Those that nobody owns are left out.

    A node that does not know its own address means the host that was ``asked``.
    """
    owners: dict[int, Node] = {}
    wanted = sorted(slots)
    for first, last, (host, port, *_), *_ in answer:
        node = Node((host or b"").decode() or asked, int(port))
        owners.update((slot, node) for slot in wanted if first <= slot <= last)
    return owners
