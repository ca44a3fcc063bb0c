"""A worker's copy of the opt-out list.

It is asked while Redis is away, and it outlives Redis' data: a contact on it stays opted out until a START of
theirs is known, whatever Redis has. Redis gives every change an order, and the newest one counts, so that
copies may be merged at any time (`sms_router.routing.opt_outs.sync`).
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from typing import NamedTuple

from sms_router.routing.opt_outs.opt_out_times import OptOutKey, OptOutTimes

MAX_STARTS = 50_000
"""STARTs in memory, the newest ones; about 15 MB. The data directory has all."""

MAX_UNSAVED = 50_000
"""Changes that wait for the disk; the oldest ones are dropped."""

MINUTE_MS = 60_000
"""A START that is newer counts after a STOP whose time is further in the future: that time is wrong."""


class ConsentChange(NamedTuple):
    """A STOP or START."""

    is_opted_out: bool
    at: int
    """Its order: milliseconds since the epoch, or more after a change by a clock that was wrong. Of two
    changes with the same order, the START counts, as in Redis (`change_consent.lua`)."""
    is_local: bool = False
    """Whether this worker has received it from the contact; otherwise Redis or another worker has it."""


class StoredEvidence(NamedTuple):
    """An entry of a contact's ledger, for the copy on disk."""

    scope: str
    contact: str
    entry_id: str
    at: int
    entry: str


FORGOTTEN = ConsentChange(is_opted_out=False, at=-1)
"""The contact was erased: nothing of them stays, on disk neither."""


class OptOutCache:
    """The opt-outs in a worker's memory."""

    def __init__(self, max_starts: int = MAX_STARTS) -> None:
        self._max_starts = max_starts
        self.stops = OptOutTimes()
        """The orders of the opt-outs of those who are on the list: the whole list, whatever its length."""
        self.starts: OrderedDict[OptOutKey, int] = OrderedDict()
        """The orders of the STARTs of contacts who are not on the list; the newest ones."""
        self.is_complete = False
        """True once the whole list was read: from then on, a contact that is not here has not opted out."""
        self.unsaved: dict[OptOutKey, ConsentChange] = {}
        """Changes that are not on disk yet, in their order; the disk cache takes them from here."""
        self.unsaved_evidence: list[StoredEvidence] = []
        """Entries of ledgers that are not on disk yet; beyond `MAX_UNSAVED` they are not copied."""
        self.has_lost_changes = False
        """Whether changes were dropped that were not on disk: the whole list is to be stored again."""
        self.has_local_change = asyncio.Event()
        """Set with each local change."""
        self.is_evidence_lost = False
        """Whether the ledgers in Redis are to be completed from the disk."""
        self.differs_from_redis = asyncio.Event()
        """Set when Redis does not have an opt-out that is here, or asks for what is here."""

    def __bool__(self) -> bool:
        return len(self.stops) > 0

    def __contains__(self, key: OptOutKey) -> bool:
        """Return whether this contact is known to have opted out of this scope."""
        return key in self.stops

    def order_of(self, key: OptOutKey, is_opted_out: bool, at: int, now: int) -> int:
        """Return the order of a change that is received: its time, or one after a known change in the future.

        All are in milliseconds since the epoch; ``now`` by Redis' clock. A time in the future comes from a
        clock that was wrong, and is no reason against what a contact texts now.
        """
        newest = max(self.stops.get(key) or 0, self.starts.get(key, 0))
        is_late = not is_opted_out and (newest <= now + MINUTE_MS or at < now - MINUTE_MS)
        return at if newest <= now or is_late else newest + is_opted_out

    def apply(self, key: OptOutKey, change: ConsentChange, *, is_stored: bool = False) -> None:
        """Apply a change, unless a newer one is known; ``is_stored``: it comes from the disk."""
        stopped_at = self.stops.get(key)
        stopped_at = -1 if stopped_at is None else stopped_at
        ends_opt_out = stopped_at == change.at and not change.is_opted_out
        if change.at > max(stopped_at, self.starts.get(key, -1)) or ends_opt_out:
            self._replace(key, change, is_stored)

    def apply_published(self, text: str) -> None:
        """Apply a change as it is published (`store.keys.CONSENTS_CHANNEL`)."""
        if text == "restore":
            self.differs_from_redis.set()
            return
        request, order, scope, contact, *entry = text.split(" ", 6)
        if len(entry) == 3 and entry[0] and len(self.unsaved_evidence) < MAX_UNSAVED:
            self.unsaved_evidence.append(StoredEvidence(scope, contact, entry[0], int(entry[1]), entry[2]))
        if request == "note":
            return
        if request == "forget":
            self.stops.discard((scope, contact))
            self.starts.pop((scope, contact), None)
            self.unsaved[scope, contact] = FORGOTTEN
        else:
            self.apply((scope, contact), ConsentChange(request == "stop", int(order)))

    def _replace(self, key: OptOutKey, change: ConsentChange, is_stored: bool) -> None:
        self.unsaved.pop(key, None)
        if not is_stored:
            self.unsaved[key] = change
            if len(self.unsaved) > MAX_UNSAVED:
                del self.unsaved[next(iter(self.unsaved))]
                self.has_lost_changes = True
        if change.is_opted_out:
            self.starts.pop(key, None)
            self.stops[key] = change.at
        else:
            self.stops.discard(key)
            self.starts[sys.intern(key[0]), key[1]] = change.at
            self.starts.move_to_end(key)
            if len(self.starts) > self._max_starts:
                self.starts.popitem(last=False)
        if change.is_local:
            self.has_local_change.set()
