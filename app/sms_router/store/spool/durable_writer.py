"""Script runs that must not be lost: in Redis, or in the spool until Redis serves again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sms_router.store.connection import RedisReply
from sms_router.store.errors import ScriptFailedError, StoreUnavailableError
from sms_router.store.scripts import SCRIPTS, Call
from sms_router.store.spool.files import SpoolEntry
from sms_router.store.spool.spool import Spool
from sms_router.store.store import Store

log = logging.getLogger("sms_router.journal")

MAX_DEFERRED_KEYS = 100_000
"""Keys whose writes wait behind an earlier one in the spool."""


@dataclass(eq=False)
class DurableWriter:
    """Writes to Redis while it serves, to the spool while it does not, and from there to Redis again."""

    _store: Store
    _spool: Spool
    _observe_replay: Callable[[str, RedisReply], None] = lambda *_: None
    """Is called with the name of each script that ran from the spool, and its result."""
    _deferred_keys: set[bytes] = field(default_factory=set, init=False)
    """First keys of entries in the spool that later writes must not overtake."""

    @property
    def has_backlog(self) -> bool:
        """True while entries wait in the spool: what Redis returns may be out of date."""
        return self._spool.size > 0

    async def write(self, call: Call) -> RedisReply | None:
        """Run a script and return its result; None when it went to the spool and runs later."""
        if self._deferred_keys and call[1][0] in self._deferred_keys:
            self.spool(call)
            return None
        try:
            return await self._store.run(call)
        except StoreUnavailableError:
            self.spool(call)
            return None

    def spool(self, call: Call, *, begins: bool = False) -> None:
        """Put a script run into the spool; it runs when Redis serves again.

        With ``begins``, later writes with the same first key wait behind it even if Redis serves already:
        they need what this one writes.
        """
        size = self._spool.size
        self._spool.add(SpoolEntry.of(call))
        if begins and self._spool.size > size and len(self._deferred_keys) < MAX_DEFERRED_KEYS:
            self._deferred_keys.add(call[1][0])
        self._store.retry_pending()

    async def replay(self) -> None:
        """Run what waits in the spool; called whenever Redis serves again.

        Raises:
            StoreUnavailableError: when Redis fails in between; the rest stays in the spool.

        """
        if restored := await self._spool.replay(self._restore):
            log.info("journaled %d writes from the time that Redis was away", restored)

    async def aclose(self) -> None:
        """Write what waits in memory to the disk."""
        await self._spool.aclose()

    async def _restore(self, entries: Sequence[SpoolEntry]) -> None:
        """Send the entries in their order, in one go; one that can never run is dropped."""
        outcomes = await asyncio.gather(*map(self._run, entries), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _run(self, entry: SpoolEntry) -> None:
        script = SCRIPTS.get(entry.script)
        try:
            if script is None:
                raise ScriptFailedError(f"no script is called {entry.script!r}")
            result = await self._store.run((script, entry.keys, entry.arguments))
            self._observe_replay(script.name, result)
        except ScriptFailedError as error:
            self._spool.drop()
            log.error("a journal entry is dropped: %s", error)
        if self._deferred_keys and entry.keys:
            self._deferred_keys.discard(entry.keys[0])
