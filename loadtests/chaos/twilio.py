"""Twilio as a caller: one try again when nobody could be reached, then the fallback URL (facts 1.4, 3)."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import aiohttp

from loadtests.crowd.people import Person
from loadtests.crowd.texts import Text
from loadtests.crowd.webhook import Account, Caller, Request

PATIENCE = 15.0
"""Seconds that Twilio waits for one URL, tries included."""

CONNECT = 5.0
MOST_CONNECTIONS = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """An answer below 400, which Twilio takes."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is none, with the debugger's code."""

    code: int
    reason: str


@dataclass(slots=True)
class Exchange:
    """One message and everything that was said about it."""

    sid: str
    person: Person
    text: Text
    pages: list[Page] = field(default_factory=list)
    """What was answered, to each delivery; the first one is what the person gets."""
    failures: list[Failure] = field(default_factory=list)
    fell_back: bool = False
    """True when a delivery failed and the fallback URL was called."""
    seconds: float = 0.0
    """From the first try to the answer that the person gets."""

    @property
    def bodies(self) -> set[bytes]:
        """The different answers."""
        return {page.body for page in self.pages}


class Twilio:
    """Delivers messages to replicas in turn, and each further try to the next one, as a balancer would.

    Use it with ``async with``.
    """

    def __init__(self, account: Account, replicas: Sequence[str]) -> None:
        """``replicas`` are URLs."""
        self._caller = Caller(account)
        self._replicas = replicas
        self._first = itertools.cycle(range(len(replicas)))
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Twilio:
        """Open the session; every request has a connection of its own, so that a lost one is plain to see."""
        connector = aiohttp.TCPConnector(limit=MOST_CONNECTIONS, force_close=True)
        self._session = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        if self._session is not None:
            await self._session.close()

    async def deliver(self, person: Person, text: Text, *, twice: bool = False) -> Exchange:
        """Deliver a message, and once more at the same time when ``twice``; return what came of it."""
        prefix = "MM" if text.pictures else "SM"
        exchange = Exchange(prefix + uuid4().hex, person, text)
        parameters = self._caller.inbound(exchange.sid, person, text)
        began = time.monotonic()
        deliveries = [self._deliver(exchange, parameters) for _ in range(2 if twice else 1)]
        await asyncio.gather(*deliveries)
        exchange.seconds = time.monotonic() - began
        return exchange

    async def _deliver(self, exchange: Exchange, parameters: Mapping[str, str]) -> None:
        first = next(self._first)
        turns = itertools.cycle((*self._replicas[first:], *self._replicas[:first]))
        page = await self._call(turns, "/sms", parameters)
        if isinstance(page, Failure):
            exchange.failures.append(page)
            exchange.fell_back = True
            page = await self._call(turns, "/sms/fallback", self._caller.fallback(parameters, page.code))
        if isinstance(page, Failure):
            exchange.failures.append(page)
        else:
            exchange.pages.append(page)

    async def _call(self, turns: Iterator[str], path: str, parameters: Mapping[str, str]) -> Page | Failure:
        request = self._caller.post(path, parameters, uuid4().hex)
        try:
            async with asyncio.timeout(PATIENCE):
                page = await self._once(next(turns) + path, request)
                if isinstance(page, Failure) and page.code == 11205:
                    page = await self._once(next(turns) + path, request)
                return page
        except TimeoutError:
            return Failure(11200, f"no answer within {PATIENCE:g} s")

    async def _once(self, url: str, request: Request) -> Page | Failure:
        assert self._session is not None
        try:
            async with self._session.post(
                url,
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
            ) as response:
                body = await response.read()
                if response.status >= 400:
                    return Failure(11200, f"status {response.status}")
                return Page(response.status, response.headers.get("Content-Type", ""), body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Failure(11205, str(error))
        except aiohttp.ClientError as error:
            return Failure(11200, repr(error))
