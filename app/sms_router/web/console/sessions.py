"""Login sessions: a signed cookie that every worker and replica can read, and their list in Redis."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, cast
from urllib.parse import quote, unquote

from redis import Redis

from sms_router.store import scripts
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.keys import CONSOLE_SESSIONS
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.store import Store

SESSION_LIFETIME = 12 * 3600
"""Seconds."""

DEVICE_LIFETIME = 365 * 86_400
"""Seconds. The cookie of a browser in which a login has succeeded."""

MAX_CACHED_ENDS = 1000

MAX_BROWSER_LENGTH = 200

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
    notice: str = ""
    """What a form has done; the page after it shows it."""

    def sign_notice(self, notice: str) -> str:
        """Return the cookie with a notice for the next page; it cannot be made without the CSRF token."""
        encoded = quote(notice, safe="")
        return f"{encoded}.{hmac.new(self.csrf.encode(), encoded.encode(), hashlib.sha256).hexdigest()}"

    def read_notice(self, cookie: str) -> str:
        """Return the notice of a cookie; empty if `sign_notice` of this session did not make it."""
        notice = unquote(cookie.rpartition(".")[0])
        is_signed = cookie.isascii() and hmac.compare_digest(self.sign_notice(notice), cookie)
        return notice if is_signed else ""

    @property
    def digest(self) -> str:
        """The name of the session in Redis, from which the cookie cannot be derived."""
        return hashlib.sha256(self.token.encode()).hexdigest()


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

    def new_device(self) -> str:
        """Return a cookie for a browser in which a login has succeeded."""
        device = secrets.token_urlsafe(16)
        return f"{device}.{self._sign('device', device)}"

    def is_device(self, cookie: str) -> bool:
        """Return whether `new_device` returned this cookie, for the same password."""
        device, _, signature = cookie.rpartition(".")
        return cookie.isascii() and hmac.compare_digest(signature, self._sign("device", device))

    def check_csrf(self, session: ConsoleSession, csrf: str) -> bool:
        """Return whether a form was rendered for this session."""
        return csrf.isascii() and hmac.compare_digest(csrf, session.csrf)

    def _session(self, token: str, expires: int) -> ConsoleSession:
        return ConsoleSession(token, self._sign("form", token), expires)

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose} {text}".encode(), hashlib.sha256).hexdigest()


class StoredSession(NamedTuple):
    """A login that is stored in Redis, and that has neither ended nor expired."""

    digest: str
    began: int
    """Seconds since the epoch."""
    expires: int
    address: str
    browser: str

    @property
    def name(self) -> str:
        """What operators call it by."""
        return self.digest[:8]


@dataclass(frozen=True, slots=True)
class SessionRegistry:
    """The sessions in Redis, for all workers and replicas: who is logged in, and which were ended.

    While Redis is not available, only the worker that ended a session refuses it. Its end waits in
    the spool, and the other workers accept the cookie for pages that need no Redis until it is written.
    """

    store: Store
    durable_writer: DurableWriter
    clock: Callable[[], float]
    """Seconds since the epoch."""
    _ended: OrderedDict[str, None] = field(default_factory=OrderedDict)

    async def open(self, session: ConsoleSession, address: str, browser: str) -> None:
        browser = browser[:MAX_BROWSER_LENGTH]
        await self._write(session.digest, f"{session.expires} {int(self.clock())} {address} {browser}")

    async def end(self, digest: str, expires: int) -> None:
        """End a session, until it would have expired."""
        self._remember(digest)
        await self._write(digest, str(expires))

    async def is_ended(self, session: ConsoleSession) -> bool:
        """Return whether a session was ended, as far as this worker can know."""
        if session.digest in self._ended:
            return True
        try:
            stored: bytes | None = await self.store.run(scripts.read_session(digest=session.digest))
        except StoreUnavailableError:
            return False
        if is_ended := stored is not None and stored.isdigit():
            self._remember(session.digest)
        return is_ended

    async def _write(self, digest: str, description: str) -> None:
        now, ttl_ms = int(self.clock()), SESSION_LIFETIME * 1000
        call = scripts.write_session(digest=digest, description=description, now=now, ttl_ms=ttl_ms)
        await self.durable_writer.write(call)

    def _remember(self, digest: str) -> None:
        self._ended[digest] = None
        if len(self._ended) > MAX_CACHED_ENDS:
            self._ended.popitem(last=False)


def stored_sessions(client: Redis, now: float) -> list[StoredSession]:
    """Return the sessions that are open, the newest first; ``now`` is in seconds since the epoch."""
    stored = cast("dict[bytes, bytes]", client.hgetall(CONSOLE_SESSIONS))
    sessions = []
    for digest, description in stored.items():
        expires, *rest = description.decode("utf-8", "replace").split(" ", 3)
        if rest and int(expires) > now:
            began, address, browser = rest
            sessions.append(StoredSession(digest.decode(), int(began), int(expires), address, browser))
    return sorted(sessions, key=lambda session: -session.began)


def end_session(client: Redis, session: StoredSession) -> None:
    client.hset(CONSOLE_SESSIONS, session.digest, str(session.expires))
