"""Login sessions: a signed cookie that every worker and replica can read, and their revocation in Redis."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

from sms_router.store import scripts
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.store import Store

SESSION_LIFETIME = 12 * 3600
"""Seconds."""

MAX_CACHED_REVOCATIONS = 1000

_SALT = b"sms-router console session"
_SCRYPT_COST = 2**14
"""Some 40 ms, once: nobody can find the password from a stolen cookie by trying."""


class ConsoleSession(NamedTuple):
    """One login."""

    token: str
    """The value of the cookie."""
    csrf: str
    """The token in each form of this session, which other sites cannot know."""
    expires: int
    """Seconds since the epoch."""


class Sessions:
    """Signs and reads sessions. The key is derived from the password: a new password ends all sessions."""

    def __init__(self, password: str) -> None:
        self._password = password.encode("utf-8", "surrogatepass")
        self._digest = hashlib.sha256(self._password).digest()

    @cached_property
    def _key(self) -> bytes:
        return hashlib.scrypt(self._password, salt=_SALT, n=_SCRYPT_COST, r=8, p=1)

    def check_password(self, password: str) -> bool:
        """Compare with the password, in constant time."""
        digest = hashlib.sha256(password.encode("utf-8", "surrogatepass")).digest()
        return hmac.compare_digest(digest, self._digest)

    def open(self, now: float) -> ConsoleSession:
        """Begin a session; ``now`` is in seconds since the epoch."""
        expires = int(now) + SESSION_LIFETIME
        claim = f"{expires}.{secrets.token_urlsafe(16)}"
        return self._session(f"{claim}.{self._sign('session', claim)}", expires)

    def read(self, token: str, now: float) -> ConsoleSession | None:
        """Return the session of a cookie; None when it was not signed here, or has expired."""
        claim, _, signature = token.rpartition(".")
        if not token.isascii() or not hmac.compare_digest(signature, self._sign("session", claim)):
            return None
        expires = claim.partition(".")[0]
        if not expires.isdecimal() or now >= int(expires):
            return None
        return self._session(token, int(expires))

    def check_csrf(self, session: ConsoleSession, csrf: str) -> bool:
        """Tell whether a form was rendered for this session."""
        return csrf.isascii() and hmac.compare_digest(csrf, session.csrf)

    def _session(self, token: str, expires: int) -> ConsoleSession:
        return ConsoleSession(token, self._sign("form", token), expires)

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose} {text}".encode(), hashlib.sha256).hexdigest()


class RevokedSessions:
    """The sessions that were logged out before they expired, for all workers and replicas.

    While Redis is not available, only the worker that revoked a session refuses it. Its revocation waits in
    the spool, and the other workers accept the cookie for pages that need no Redis until it is written.

    Args:
        store: where revocations are read.
        durable_writer: writes them.
        clock: in seconds since the epoch.

    """

    def __init__(self, store: Store, durable_writer: DurableWriter, clock: Callable[[], float]) -> None:
        self._store = store
        self._durable_writer = durable_writer
        self._clock = clock
        self._cache: OrderedDict[str, None] = OrderedDict()

    async def revoke(self, session: ConsoleSession) -> None:
        """Revoke a session until it would have expired."""
        digest = _digest(session)
        self._remember(digest)
        remaining = min(max(session.expires - self._clock(), 1.0), SESSION_LIFETIME)
        await self._durable_writer.write(scripts.revoke_session(digest=digest, ttl_ms=int(remaining * 1000)))

    async def is_revoked(self, session: ConsoleSession) -> bool:
        """Tell whether a session is revoked, as far as this worker can know."""
        digest = _digest(session)
        if digest in self._cache:
            return True
        try:
            revoked = bool(await self._store.run(scripts.is_session_revoked(digest=digest)))
        except StoreUnavailableError:
            return False
        if revoked:
            self._remember(digest)
        return revoked

    def _remember(self, digest: str) -> None:
        self._cache[digest] = None
        if len(self._cache) > MAX_CACHED_REVOCATIONS:
            self._cache.popitem(last=False)


def _digest(session: ConsoleSession) -> str:
    """Return the name of a session in Redis, from which the cookie cannot be derived."""
    return hashlib.sha256(session.token.encode()).hexdigest()
