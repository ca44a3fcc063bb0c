"""The journal: script runs that must not be lost, with the spool behind Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from sms_router.store.connection import Argument, RedisReply
from sms_router.store.errors import ScriptFailedError, StoreUnavailableError
from sms_router.store.scripts import BY_NAME, Script
from sms_router.store.spool.spool import Spool
from sms_router.store.spool.spool_entry import SpoolEntry
from sms_router.store.store import Store

log = logging.getLogger("sms_router.journal")

MOST_BEGUN = 100_000
"""Keys that are remembered because their first step waits in the spool."""


class DurableWriter:
    """Writes to Redis while it serves, to the spool while it does not, and from there to Redis again."""

    def __init__(self, store: Store, spool: Spool) -> None:
        """Take the two places."""
        self._store = store
        self._spool = spool
        self._deferred_keys: set[bytes] = set()
        """First keys of steps in the spool which later steps must not overtake."""

    @property
    def has_backlog(self) -> bool:
        """True while anything waits for Redis: then Redis does not know everything yet."""
        return self._spool.size > 0

    async def write(
        self, script: Script, keys: Sequence[bytes], arguments: Sequence[Argument]
    ) -> RedisReply | None:
        """Run a script now, or later from the spool; then the answer is None."""
        if self._deferred_keys and keys[0] in self._deferred_keys:
            self.spool(script, keys, arguments)
            return None
        try:
            return await self._store.run(script, tuple(keys), tuple(arguments))
        except StoreUnavailableError:
            self.spool(script, keys, arguments)
            return None

    def spool(
        self, script: Script, keys: Sequence[bytes], arguments: Sequence[Argument], *, begins: bool = False
    ) -> None:
        """Keep a script run for when Redis serves again.

        With ``begins``, what is kept under the same first key meanwhile waits behind it, although Redis
        may serve already: it would find nothing to go on with.
        """
        kept = self._spool.size
        self._spool.add(SpoolEntry.of(script, keys, arguments))
        if begins and self._spool.size > kept and len(self._deferred_keys) < MOST_BEGUN:
            self._deferred_keys.add(keys[0])
        self._store.retry_pending()

    async def replay(self) -> None:
        """Run what waits in the spool; called whenever Redis serves again.

        Raises:
            StoreUnavailableError: when it went away in between; nothing is lost, it is done again.

        """
        if restored := await self._spool.replay(self._restore):
            log.info("journaled %d steps that were taken while Redis was away", restored)

    async def aclose(self) -> None:
        """Bring everything kept in memory to disk."""
        await self._spool.aclose()

    async def _restore(self, entries: Sequence[SpoolEntry]) -> None:
        """Run the entries in their order, at once; one that can never run is given up."""
        outcomes = await asyncio.gather(*map(self._run, entries), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _run(self, entry: SpoolEntry) -> None:
        script = BY_NAME.get(entry.script)
        try:
            if script is None:
                raise ScriptFailedError(f"no script is called {entry.script!r}")
            await self._store.run(script, entry.keys, entry.arguments)
        except ScriptFailedError as error:
            self._spool.drop(1)
            log.error("a journal entry is given up: %s", error)
        if self._deferred_keys and entry.keys:
            self._deferred_keys.discard(entry.keys[0])
