"""Sessions that were ended before their time: a cookie that somebody has copied is worth nothing then."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

from sms_router.store.errors import StoreUnavailableError
from sms_router.store.keys import ended_session
from sms_router.store.scripts import SESSION_END
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.store import Store
from sms_router.web.console.sessions import LASTS, ConsoleSession

MOST_REMEMBERED = 1000


class RevokedSessions:
    """Ends sessions for all workers and replicas.

    While Redis is away a worker knows of those that were ended with it, and the others hear of them from
    the spool later: until then a session that is over elsewhere opens what can be seen without Redis.
    """

    def __init__(self, store: Store, journal: DurableWriter, clock: Callable[[], float]) -> None:
        """``clock`` is in seconds since the epoch."""
        self._store = store
        self._journal = journal
        self._clock = clock
        self._known: OrderedDict[bytes, None] = OrderedDict()

    async def end(self, session: ConsoleSession) -> None:
        """End a session."""
        key = _key_of(session)
        self._remember(key)
        left = min(max(session.expires - self._clock(), 1.0), LASTS)
        await self._journal.write(SESSION_END, (key,), (str(int(left * 1000)),))

    async def is_revoked(self, session: ConsoleSession) -> bool:
        """Tell whether a session was ended, as far as can be known."""
        key = _key_of(session)
        if key in self._known:
            return True
        try:
            ended = bool(await self._store.run(SESSION_END, (key,), ("",)))
        except StoreUnavailableError:
            return False
        if ended:
            self._remember(key)
        return ended

    def _remember(self, key: bytes) -> None:
        self._known[key] = None
        if len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)


def _key_of(session: ConsoleSession) -> bytes:
    """Return its key, from which nobody who reads Redis can tell the cookie."""
    return ended_session(hashlib.sha256(session.token.encode()).hexdigest())
