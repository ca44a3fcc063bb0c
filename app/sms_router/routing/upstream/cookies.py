"""Cookies as Twilio keeps them for an application: per pair of numbers, for four hours (facts 1.5).

They lie in Redis, because the next text may arrive at another worker, and in this worker's memory
for the time that Redis is away.
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

from sms_router.store.errors import StoreUnavailableError
from sms_router.store.keys import bucket_of
from sms_router.store.scripts import COOKIES
from sms_router.store.store import Store
from sms_router.twilio.webhook_url import WebhookUrl

LIFE = 4 * 3600
"""Seconds without a text after which the cookies of a pair are forgotten."""

MOST_COOKIES = 30
LONGEST_COOKIE = 4096
"""Characters of a name and its value; browsers take no longer one either (RFC 6265)."""

_MAX_AGE = re.compile(r"-?[0-9]+")

MOST_REMEMBERED = 5000
"""Pairs whose cookies each worker keeps for the time that Redis is away."""


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
    """Seconds since the epoch; None for as long as the conversation lasts."""

    def goes_to(self, url: WebhookUrl, now: float) -> bool:
        """Tell whether a request carries the cookie."""
        return (
            self.host == url.host
            and (not self.secure or url.called.startswith("https:"))
            and (self.expires is None or self.expires > now)
            and _within(self.path, url.path)
        )


class CookieJar:
    """The cookies of one pair of numbers, while one text is answered."""

    def __init__(self, cookies: Iterable[Cookie] = (), clock: Callable[[], float] = time.time) -> None:
        """``clock`` is in seconds since the epoch."""
        self._clock = clock
        self._cookies = {(each.host, each.path, each.name): each for each in cookies}
        self.changed = False

    def header(self, url: WebhookUrl) -> str:
        """Return what the ``Cookie`` header says there; empty for none."""
        now = self._clock()
        return "; ".join(
            f"{each.name}={each.value}" for each in self._cookies.values() if each.goes_to(url, now)
        )

    def take(self, cookies: SimpleCookie, url: WebhookUrl) -> None:
        """Take in what a server has set; cookies for other hosts than its own are its own all the same."""
        now = self._clock()
        for morsel in cookies.values():
            cookie = _cookie(morsel, url, now)
            place = cookie.host, cookie.path, cookie.name
            if cookie.expires is not None and cookie.expires <= now:
                self.changed |= self._cookies.pop(place, None) is not None
            elif (
                len(cookie.name) + len(cookie.value) <= LONGEST_COOKIE and self._cookies.get(place) != cookie
            ):
                self._cookies.pop(place, None)
                self._cookies[place] = cookie
                self.changed = True
        while len(self._cookies) > MOST_COOKIES:
            del self._cookies[next(iter(self._cookies))]

    def written(self) -> bytes:
        """Return the cookies as they are kept."""
        return json.dumps([asdict(each) for each in self._cookies.values()]).encode()


class CookieStore:
    """The jars of all pairs."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        """``clock`` is in seconds since the epoch."""
        self._store = store
        self._clock = clock
        self._remembered: OrderedDict[tuple[str, str], tuple[float, bytes]] = OrderedDict()

    async def of(self, person: str, number: str) -> CookieJar:
        """Return what is kept for a pair."""
        try:
            kept = await self._store.run(COOKIES, (_key(person, number),), (b"", LIFE * 1000))
        except StoreUnavailableError:
            used, kept = self._remembered.get((person, number), (0.0, b""))
            kept = kept if self._clock() - used < LIFE else b""
        return CookieJar(_read(kept), self._clock)

    async def keep(self, person: str, number: str, jar: CookieJar) -> None:
        """Keep what has changed."""
        if not jar.changed:
            return
        written = jar.written()
        self._remembered[person, number] = self._clock(), written
        self._remembered.move_to_end((person, number))
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        try:
            await self._store.run(COOKIES, (_key(person, number),), (written, LIFE * 1000))
        except StoreUnavailableError:
            return  # this worker remembers


def _key(person: str, number: str) -> bytes:
    return bucket_of(person).cookies(person, number)


def _read(kept: bytes | None) -> list[Cookie]:
    """Read what is kept; what a later version wrote otherwise is forgotten."""
    if not kept:
        return []
    try:
        return [Cookie(**each) for each in json.loads(kept)]
    except (ValueError, TypeError):
        return []


def _cookie(morsel: Morsel[str], url: WebhookUrl, now: float) -> Cookie:
    path = morsel["path"]
    return Cookie(
        host=url.host,
        path=path if path.startswith("/") else url.path.rpartition("/")[0] or "/",
        name=morsel.key,
        value=morsel.coded_value,
        secure=bool(morsel["secure"]),
        expires=_expiry(morsel["max-age"], morsel["expires"], now),
    )


def _expiry(max_age: str, expires: str, now: float) -> float | None:
    """Return when a cookie ends; ``Max-Age`` counts more than ``Expires`` (RFC 6265, 5.3)."""
    if _MAX_AGE.fullmatch(max_age):
        return now + int(max_age[:12])
    try:
        return parsedate_to_datetime(expires.replace("-", " ")).timestamp() if expires else None
    except (ValueError, OverflowError):  # a year that no clock reaches
        return None


def _within(path: str, asked: str) -> bool:
    return asked == path or asked.startswith(path if path.endswith("/") else f"{path}/")
