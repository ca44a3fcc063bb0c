"""A worker's copy of the opt-out list, for the time that Redis is away.

Without Redis a worker cannot look up an opt-out that another worker has received. So each one reads the
newest entries before it serves, and subscribes to the changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple, cast

from redis.asyncio import Redis

from sms_router.store.keys import ALL_BUCKETS, BUCKETS
from sms_router.store.redis_py import CLIENT_ERRORS

MAX_SIZE = 50_000
"""Entries in memory, the newest ones; about 15 MB."""

MAX_UNSAVED = 50_000
"""Changes that wait for the disk; the oldest ones are dropped."""

OptOutKey = tuple[str, str]
"""The scope (a Service's sid, or one of our numbers outside Services) and the contact."""


class ConsentChange(NamedTuple):
    """A STOP or START that is to be stored on disk."""

    is_opted_out: bool
    is_local: bool
    """Whether this worker has received it from the contact; otherwise Redis or another worker has it."""

    @property
    def is_weak_start(self) -> bool:
        """Whether it is a START that this worker knows from Redis alone."""
        return not self.is_opted_out and not self.is_local


class OptOutCache:
    """The opt-outs that a worker knows."""

    def __init__(self, max_size: int = MAX_SIZE) -> None:
        """``max_size`` is how many entries are kept, the newest ones."""
        self._max_size = max_size
        self._entries: OrderedDict[OptOutKey, None] = OrderedDict()
        self._loaded = asyncio.Event()
        self.is_complete = False
        """True once the list was read: from then on, a contact that is not here has not opted out."""
        self.unsaved: dict[OptOutKey, ConsentChange] = {}
        """Changes that are not on disk yet, in their order; the disk cache takes them from here."""
        self.has_local_change = asyncio.Event()
        """Set with each local change."""

    def __iter__(self) -> Iterator[OptOutKey]:
        """Iterate over the entries, the newest ones last."""
        return iter(self._entries)

    def __bool__(self) -> bool:
        """Return whether there is any entry."""
        return bool(self._entries)

    def __contains__(self, key: OptOutKey) -> bool:
        """Return whether this contact is known to have opted out of this scope."""
        return key in self._entries

    def add(self, scope: str, contact: str) -> None:
        """Add a contact that is on the list in Redis."""
        key = (scope, contact)
        if key not in self._entries:
            self._note(key, ConsentChange(is_opted_out=True, is_local=False))
        self._insert(key)

    def discard(self, scope: str, contact: str) -> None:
        """Remove a contact that is not on the list in Redis."""
        key = (scope, contact)
        self._entries.pop(key, None)
        self._note(key, ConsentChange(is_opted_out=False, is_local=False))

    def apply(self, change: str) -> None:
        """Apply a change as it is published: ``stop`` or ``start``, the scope, the contact."""
        (scope, contact), is_opted_out = _parse(change)
        if is_opted_out:
            self.add(scope, contact)
        else:
            self.discard(scope, contact)

    def record_local(self, change: str) -> None:
        """Apply a change that a contact has sent; the machine's other workers read it from the disk."""
        self.apply(change)
        key, is_opted_out = _parse(change)
        self._note(key, ConsentChange(is_opted_out, is_local=True))
        self.has_local_change.set()

    def apply_stored(self, key: OptOutKey, *, is_opted_out: bool) -> None:
        """Apply what is on disk, unless a newer local change waits to be stored there."""
        unsaved = self.unsaved.get(key)
        if unsaved is not None and unsaved.is_local:
            return
        self.unsaved.pop(key, None)
        if is_opted_out:
            self._insert(key)
        else:
            self._entries.pop(key, None)

    async def load(self, redis: Redis) -> None:
        """Read the newest entries of the list from Redis; subscribe before, so that no change is missed.

        Raises:
            redis.RedisError: when Redis is away; where a part of a Cluster serves, that part is read.

        """
        failure: Exception | None = None
        for bucket in ALL_BUCKETS:
            try:
                newest = await redis.zrevrange(bucket.opt_outs, 0, self._max_size // BUCKETS)
            except CLIENT_ERRORS as error:
                failure = error
                continue
            for entry in reversed(cast("list[bytes]", newest)):
                scope, _, contact = entry.decode().partition(" ")
                self.add(scope, contact)
            await asyncio.sleep(0)  # messages go first
        if failure is not None:
            raise failure
        self.is_complete = True
        self._loaded.set()

    async def wait_until_loaded(self, seconds: float) -> None:
        """Wait until the list was read from Redis once, ``seconds`` at the most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._loaded.wait()

    def _insert(self, key: OptOutKey) -> None:
        scope, contact = key
        key = (sys.intern(scope), contact)
        self._entries[key] = None
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_size:
            self._entries.popitem(last=False)

    def _note(self, key: OptOutKey, change: ConsentChange) -> None:
        unsaved = self.unsaved.pop(key, None)
        if unsaved is not None and unsaved.is_opted_out == change.is_opted_out and unsaved.is_local:
            change = unsaved  # a local change, published to this worker too
        self.unsaved[key] = change
        if len(self.unsaved) > MAX_UNSAVED:
            del self.unsaved[next(iter(self.unsaved))]


def _parse(change: str) -> tuple[OptOutKey, bool]:
    wish, _, key = change.partition(" ")
    scope, _, contact = key.partition(" ")
    return (scope, contact), wish == "stop"
