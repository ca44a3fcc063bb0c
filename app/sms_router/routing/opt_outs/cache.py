"""A worker's copy of the opt-out list.

It is asked while Redis is away, and it outlives Redis' data: a contact on it stays opted out until a START of
theirs is known, whatever Redis has. Every change has a time, and the newest one counts, so that copies may be
merged in any order (`sms_router.routing.opt_outs.sync`).
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


class ConsentChange(NamedTuple):
    """A STOP or START."""

    is_opted_out: bool
    at: int
    """Milliseconds since the epoch. Of two changes at the same time, the START counts, as in Redis."""
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
    """The opt-outs that a worker knows."""

    def __init__(self, max_starts: int = MAX_STARTS) -> None:
        self._max_starts = max_starts
        self.stops = OptOutTimes()
        """When those who are on the list have opted out: the whole list, whatever its length."""
        self.starts: OrderedDict[OptOutKey, int] = OrderedDict()
        """When contacts who are not on the list have texted START, in milliseconds; the newest ones."""
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

    def time_of(self, key: OptOutKey) -> int | None:
        """Return when a contact opted out, in milliseconds; None where they are not known to have."""
        return self.stops.get(key)

    def apply(self, key: OptOutKey, change: ConsentChange, *, is_stored: bool = False) -> None:
        """Apply a change, unless a newer one is known; ``is_stored``: it comes from the disk."""
        stopped_at = self.stops.get(key)
        stopped_at = -1 if stopped_at is None else stopped_at
        ends_opt_out = stopped_at == change.at and not change.is_opted_out
        if change.at > max(stopped_at, self.starts.get(key, -1)) or ends_opt_out:
            self.correct(key, change, is_stored=is_stored)

    def apply_published(self, text: str) -> None:
        """Apply a change as it is published (`store.keys.CONSENTS_CHANNEL`)."""
        if text == "restore":
            self.differs_from_redis.set()
            return
        request, at, scope, contact, *entry = text.split(" ", 5)
        if len(entry) == 2 and entry[0] and len(self.unsaved_evidence) < MAX_UNSAVED:
            self.unsaved_evidence.append(StoredEvidence(scope, contact, entry[0], int(at), entry[1]))
        if request == "note":
            return
        if request == "forget":
            self.stops.discard((scope, contact))
            self.starts.pop((scope, contact), None)
            self.unsaved[scope, contact] = FORGOTTEN
        else:
            self.apply((scope, contact), ConsentChange(request == "stop", int(at)))

    def correct(self, key: OptOutKey, change: ConsentChange, *, is_stored: bool = False) -> None:
        """Apply a change, whatever is known: Redis has compared it with all others."""
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
