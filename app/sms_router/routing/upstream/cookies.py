"""Cookies of upstreams: kept per pair of numbers for four hours, as Twilio does (facts 1.5).

They are stored in Redis, because another worker may handle the contact's next text. While Redis is
unavailable, each worker keeps them in memory.
"""

from __future__ import annotations

import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from http.cookies import Morsel, SimpleCookie

from sms_router.store import scripts
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.store import Store
from sms_router.twilio.webhook_url import WebhookUrl

TTL = 4 * 3600
"""Seconds without a text after which the cookies of a pair are deleted."""

MAX_COOKIES = 30
"""Cookies of one pair; beyond it, the oldest are dropped."""

MAX_COOKIE_LENGTH = 4096
"""Characters of a name and its value, the limit of browsers (RFC 6265)."""

MAX_LOCAL_PAIRS = 5000
"""Pairs of numbers whose cookies a worker keeps in memory."""

_MAX_AGE = re.compile(r"-?[0-9]+")


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie of one host."""

    host: str
    path: str
    name: str
    value: str
    """As the server wrote it, quotes included."""
    secure: bool = False
    expires: float | None = None
    """Seconds since the epoch; None for a session cookie."""

    def is_sent_to(self, url: WebhookUrl, now: float) -> bool:
        return (
            self.host == url.host
            and (not self.secure or url.called.startswith("https:"))
            and (self.expires is None or self.expires > now)
            and _is_within(self.path, url.path)
        )


class CookieJar:
    """The cookies of one pair of numbers while one text is forwarded."""

    def __init__(self, cookies: Iterable[Cookie] = (), clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._cookies = {(cookie.host, cookie.path, cookie.name): cookie for cookie in cookies}
        self.has_changed = False

    def header(self, url: WebhookUrl) -> str:
        """Return the ``Cookie`` header of a request to a URL; empty for none."""
        now = self._clock()
        return "; ".join(
            f"{cookie.name}={cookie.value}"
            for cookie in self._cookies.values()
            if cookie.is_sent_to(url, now)
        )

    def update(self, cookies: SimpleCookie, url: WebhookUrl) -> None:
        """Store the cookies of a response. They belong to its host, whatever their ``Domain`` is."""
        now = self._clock()
        for morsel in cookies.values():
            cookie = _parse_cookie(morsel, url, now)
            key = cookie.host, cookie.path, cookie.name
            if cookie.expires is not None and cookie.expires <= now:
                self.has_changed |= self._cookies.pop(key, None) is not None
            elif (
                len(cookie.name) + len(cookie.value) <= MAX_COOKIE_LENGTH and self._cookies.get(key) != cookie
            ):
                self._cookies.pop(key, None)
                self._cookies[key] = cookie
                self.has_changed = True
        while len(self._cookies) > MAX_COOKIES:
            del self._cookies[next(iter(self._cookies))]

    def serialize(self) -> bytes:
        return json.dumps([asdict(cookie) for cookie in self._cookies.values()]).encode()


class CookieStore:
    """Reads and writes the cookies of all pairs of numbers; ``clock`` returns seconds since the epoch."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._local: OrderedDict[tuple[str, str], tuple[float, bytes]] = OrderedDict()
        """When each pair's cookies were written, and the cookies."""

    async def load(self, contact: str, number: str) -> CookieJar:
        """Return the cookies of a contact and a number of ours, and extend their life."""
        try:
            stored = await self._store.run(
                scripts.load_cookies(contact=contact, number=number, ttl_ms=TTL * 1000)
            )
        except StoreUnavailableError:
            written_at, stored = self._local.get((contact, number), (0.0, b""))
            stored = stored if self._clock() - written_at < TTL else b""
        return CookieJar(_parse(stored), self._clock)

    async def save(self, contact: str, number: str, jar: CookieJar) -> None:
        """Store the cookies of a pair, if they have changed."""
        if not jar.has_changed:
            return
        serialized = jar.serialize()
        self._local[contact, number] = self._clock(), serialized
        self._local.move_to_end((contact, number))
        if len(self._local) > MAX_LOCAL_PAIRS:
            self._local.popitem(last=False)
        call = scripts.save_cookies(contact=contact, number=number, jar=serialized, ttl_ms=TTL * 1000)
        try:
            await self._store.run(call)
        except StoreUnavailableError:
            return  # this worker has them


def _parse(serialized: bytes | None) -> list[Cookie]:
    """Parse stored cookies; return none if the format is unknown, as that of a later version."""
    if not serialized:
        return []
    try:
        return [Cookie(**fields) for fields in json.loads(serialized)]
    except (ValueError, TypeError):
        return []


def _parse_cookie(morsel: Morsel[str], url: WebhookUrl, now: float) -> Cookie:
    path = morsel["path"]
    return Cookie(
        host=url.host,
        path=path if path.startswith("/") else url.path.rpartition("/")[0] or "/",
        name=morsel.key,
        value=morsel.coded_value,
        secure=bool(morsel["secure"]),
        expires=_parse_expiry(morsel["max-age"], morsel["expires"], now),
    )


def _parse_expiry(max_age: str, expires: str, now: float) -> float | None:
    """Return when a cookie expires; ``Max-Age`` takes precedence over ``Expires`` (RFC 6265, 5.3)."""
    if _MAX_AGE.fullmatch(max_age):
        return now + int(max_age[:12])
    try:
        return parsedate_to_datetime(expires.replace("-", " ")).timestamp() if expires else None
    except (ValueError, OverflowError):  # a year outside of the clock's range
        return None


def _is_within(path: str, requested: str) -> bool:
    return requested == path or requested.startswith(path if path.endswith("/") else f"{path}/")
