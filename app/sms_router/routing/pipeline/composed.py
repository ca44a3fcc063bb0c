"""A reply that is ready to leave, and those that leave for one person after the other."""

from __future__ import annotations

from typing import NamedTuple

from sms_router.senders.models import Decision
from sms_router.senders.pool import Pool

MOST_KEPT, LARGEST_KEPT = 2048, 1500
"""Replies, and bytes of one: some 5 MB at the most."""

CacheKey = tuple[object, ...]
"""What a composed reply depends on: its words, its rule, and as much of its recipient as matters."""


class RenderedReply(NamedTuple):
    """What leaves for the person, and how it was decided."""

    document: bytes
    trail_text: str
    """For the journal: a line with the rule, then the trail of the sender's choice."""
    unsendable: bool = False
    """True when there is something to say and no number that can carry it."""
    decision: Decision | None = None
    """Of a draft that says something: the choice of its sender, whose rate it counts against."""
    texts: tuple[str, ...] = ()
    pictures: bool = False


class ReplyCache:
    """Replies that were composed from the pools of this moment.

    A pool is never changed, only replaced; with it goes everything that was kept.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._kept: dict[CacheKey, tuple[Pool, RenderedReply]] = {}

    def get(self, pool: Pool, likeness: CacheKey) -> RenderedReply | None:
        """Return what was composed for a reply like this from this very pool."""
        kept = self._kept.get(likeness)
        if kept is None:
            return None
        if kept[0] is not pool:
            self._kept.clear()
            return None
        return kept[1]

    def keep(self, pool: Pool, likeness: CacheKey, composed: RenderedReply) -> None:
        """Keep a reply for all that are like it, unless it is large."""
        if len(composed.document) > LARGEST_KEPT:
            return
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[likeness] = pool, composed
