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
        self._change((scope, contact), ConsentChange(is_opted_out=True, is_local=False))

    def discard(self, scope: str, contact: str) -> None:
        """Remove a contact that is not on the list in Redis."""
        self._change((scope, contact), ConsentChange(is_opted_out=False, is_local=False))

    def apply(self, change: str, *, is_local: bool = False) -> None:
        """Apply a change as it is published: ``stop`` or ``start``, the scope, the contact."""
        request, _, member = change.partition(" ")
        scope, _, contact = member.partition(" ")
        self._change((scope, contact), ConsentChange(request == "stop", is_local))
        if is_local:
            self.has_local_change.set()

    def apply_stored(self, key: OptOutKey, *, is_opted_out: bool) -> None:
        """Apply what is on disk, unless a newer local change waits to be stored there."""
        unsaved = self.unsaved.get(key)
        if unsaved is not None and unsaved.is_local:
            return
        self.unsaved.pop(key, None)
        self._set(key, is_opted_out=is_opted_out)

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

    def _change(self, key: OptOutKey, change: ConsentChange) -> None:
        if change.is_local or not change.is_opted_out or key not in self._entries:
            unsaved = self.unsaved.pop(key, change)
            published = unsaved.is_local and unsaved.is_opted_out == change.is_opted_out
            self.unsaved[key] = unsaved if published else change  # a local change is published to all workers
            if len(self.unsaved) > MAX_UNSAVED:
                del self.unsaved[next(iter(self.unsaved))]
        self._set(key, is_opted_out=change.is_opted_out)

    def _set(self, key: OptOutKey, *, is_opted_out: bool) -> None:
        if not is_opted_out:
            self._entries.pop(key, None)
            return
        scope, contact = key
        key = (sys.intern(scope), contact)
        self._entries[key] = None
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_size:
            self._entries.popitem(last=False)
