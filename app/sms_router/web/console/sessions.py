"""Who is logged in: a signed cookie that every worker and replica can read, and nobody else can write."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from functools import cached_property
from typing import NamedTuple

LASTS = 12 * 3600
"""Seconds from a login to the next."""

_SALT = b"sms-router console session"
_COST = 2**14
"""Of scrypt: a stolen cookie does not give the password away by trying. Some 40 ms, once."""


class ConsoleSession(NamedTuple):
    """One login."""

    token: str
    """What the cookie holds."""
    csrf: str
    """What each form of this session holds; no other site can know it."""
    expires: int
    """When it ends by itself, in seconds since the epoch."""


class Sessions:
    """Opens and reads sessions. The key comes from the password: a new password ends all of them."""

    def __init__(self, password: str) -> None:
        self._secret = password.encode("utf-8", "surrogatepass")
        self._expected = hashlib.sha256(self._secret).digest()

    @cached_property
    def _key(self) -> bytes:
        return hashlib.scrypt(self._secret, salt=_SALT, n=_COST, r=8, p=1)

    def check_password(self, password: str) -> bool:
        """Tell whether this is the password, in the same time whatever it is."""
        given = hashlib.sha256(password.encode("utf-8", "surrogatepass")).digest()
        return hmac.compare_digest(given, self._expected)

    def open(self, now: float) -> ConsoleSession:
        """Begin a session; ``now`` is in seconds since the epoch."""
        expires = int(now) + LASTS
        claim = f"{expires}.{secrets.token_urlsafe(16)}"
        return self._session(f"{claim}.{self._sign('session', claim)}", expires)

    def read(self, token: str, now: float) -> ConsoleSession | None:
        """Return the session of a cookie; None when it is not ours, was changed, or has expired."""
        claim, _, signature = token.rpartition(".")
        if not token.isascii() or not hmac.compare_digest(signature, self._sign("session", claim)):
            return None
        expires = claim.partition(".")[0]
        if not expires.isdecimal() or now >= int(expires):
            return None
        return self._session(token, int(expires))

    def check_csrf(self, session: ConsoleSession, csrf: str) -> bool:
        """Tell whether a form was made for this session."""
        return csrf.isascii() and hmac.compare_digest(csrf, session.csrf)

    def _session(self, token: str, expires: int) -> ConsoleSession:
        return ConsoleSession(token, self._sign("form", token), expires)

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose} {text}".encode(), hashlib.sha256).hexdigest()
