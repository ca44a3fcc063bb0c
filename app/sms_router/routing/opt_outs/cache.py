"""A worker's copy of the opt-out list, for when Redis is away.

People opt out through one worker, and without Redis the others could not ask. So each reads the newest
entries before it serves, and hears of every change from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import cast

from redis.asyncio import Redis

from sms_router.store.keys import ALL_BUCKETS, BUCKETS
from sms_router.store.redis_py import CLIENT_ERRORS

MOST_REMEMBERED = 50_000
"""The newest opt-outs, which each worker remembers; some 15 MB where there are as many."""

MOST_SAID = 1000
"""Opt-outs and returns that wait for the disk while Redis is away."""


class OptOutCache:
    """Who has opted out, by scope and person, as far as this worker has heard."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        """Remember the ``most`` newest."""
        self._most = most
        self._people: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._read = asyncio.Event()
        self.changes = 0
        """How often the copy has changed."""
        self.complete = False
        """True once the list was read: from then on what is not here is not on it."""
        self.said: deque[str] = deque(maxlen=MOST_SAID)
        """What people have told this worker lately, as `hear` takes it."""
        self.changed = asyncio.Event()
        """Set when somebody has said something."""

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Go through the people, the newest entries last."""
        return iter(self._people)

    def __bool__(self) -> bool:
        """Return whether anybody is remembered."""
        return bool(self._people)

    def __contains__(self, who: tuple[str, str]) -> bool:
        """Return whether this person, in this scope, is known to have opted out."""
        return who in self._people

    def remember(self, scope: str, person: str) -> None:
        """Note that a person has opted out."""
        who = (sys.intern(scope), person)
        self.changes += who not in self._people
        self._people[who] = None
        self._people.move_to_end(who)
        if len(self._people) > self._most:
            self._people.popitem(last=False)

    def forget(self, scope: str, person: str) -> None:
        """Note that a person has come back."""
        if (scope, person) in self._people:
            del self._people[scope, person]
            self.changes += 1

    def record_local(self, change: str) -> None:
        """Take note of what a person has told this worker; others of this machine may want to know."""
        self.apply(change)
        self.said.append(change)
        self.changed.set()

    def apply(self, change: str) -> None:
        """Take note of what somebody has said: ``stop`` or ``start``, the scope, the person."""
        wish, _, who = change.partition(" ")
        scope, _, person = who.partition(" ")
        if wish == "stop":
            self.remember(scope, person)
        else:
            self.forget(scope, person)

    async def read(self, redis: Redis) -> None:
        """Read the newest entries of the list. A worker that already listens misses nothing meanwhile.

        Raises:
            redis.RedisError: when Redis does not serve; where a part of a Cluster does, that is read.

        """
        lost: Exception | None = None
        for bucket in ALL_BUCKETS:
            try:
                newest = await redis.zrevrange(bucket.opt_outs, 0, self._most // BUCKETS)
            except CLIENT_ERRORS as error:
                lost = error
                continue
            for entry in reversed(cast("list[bytes]", newest)):
                scope, _, person = entry.decode().partition(" ")
                self.remember(scope, person)
            await asyncio.sleep(0)  # messages are waiting meanwhile
        if lost is not None:
            raise lost
        self.complete = True
        self._read.set()

    async def wait_until_loaded(self, seconds: float) -> None:
        """Wait until the list was read once, ``seconds`` at the most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._read.wait()
