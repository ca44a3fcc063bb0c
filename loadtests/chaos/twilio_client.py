"""Twilio as an HTTP client: a second attempt if not connected, then the fallback URL (facts 1.4, 3)."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import aiohttp

from loadtests.workload.contacts import Contact
from loadtests.workload.texts import Text
from loadtests.workload.webhook import Account, Request, WebhookBuilder

REQUEST_TIMEOUT = 15.0
"""Seconds that Twilio waits for one URL, with all attempts."""

CONNECT_TIMEOUT = 5.0
MAX_CONNECTIONS = 1000


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer with a status below 400."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpFailure:
    """Why there is no answer, with Twilio's error code."""

    code: int
    reason: str


@dataclass(slots=True)
class MessageExchange:
    """One message, and the answers to its requests."""

    sid: str
    contact: Contact
    text: Text
    answers: list[HttpAnswer] = field(default_factory=list)
    """The answer to each delivery; the contact gets the first one."""
    failures: list[HttpFailure] = field(default_factory=list)
    used_fallback: bool = False
    """True when a delivery failed and the fallback URL was called."""
    seconds: float = 0.0
    """From the first attempt to the answer."""

    @property
    def bodies(self) -> set[bytes]:
        """The different answers."""
        return {answer.body for answer in self.answers}


class TwilioClient:
    """Delivers messages to replicas in turn, and each further attempt to the next one, as a balancer would.

    Use it with ``async with``.

    Args:
        account: signs the requests.
        replicas: URLs.

    """

    def __init__(self, account: Account, replicas: Sequence[str]) -> None:
        self._builder = WebhookBuilder(account)
        self._replicas = replicas
        self._first = itertools.cycle(range(len(replicas)))
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> TwilioClient:
        """Open the session. Each request gets a new connection, so that lost ones are detected."""
        connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, force_close=True)
        self._session = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    async def deliver(self, contact: Contact, text: Text, *, twice: bool = False) -> MessageExchange:
        """Deliver a message, with ``twice`` two times at once."""
        prefix = "MM" if text.pictures else "SM"
        exchange = MessageExchange(prefix + uuid4().hex, contact, text)
        parameters = self._builder.inbound_parameters(exchange.sid, contact, text)
        began = time.monotonic()
        await asyncio.gather(*(self._deliver(exchange, parameters) for _ in range(2 if twice else 1)))
        exchange.seconds = time.monotonic() - began
        return exchange

    async def _deliver(self, exchange: MessageExchange, parameters: Mapping[str, str]) -> None:
        first = next(self._first)
        replicas = itertools.cycle((*self._replicas[first:], *self._replicas[:first]))
        answer = await self._call(replicas, "/sms", parameters)
        if isinstance(answer, HttpFailure):
            exchange.failures.append(answer)
            exchange.used_fallback = True
            fallback = self._builder.fallback_parameters(parameters, answer.code)
            answer = await self._call(replicas, "/sms/fallback", fallback)
        if isinstance(answer, HttpFailure):
            exchange.failures.append(answer)
        else:
            exchange.answers.append(answer)

    async def _call(
        self, replicas: Iterator[str], path: str, parameters: Mapping[str, str]
    ) -> HttpAnswer | HttpFailure:
        request = self._builder.post(path, parameters, uuid4().hex)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                answer = await self._post(next(replicas) + path, request)
                if isinstance(answer, HttpFailure) and answer.code == 11205:
                    answer = await self._post(next(replicas) + path, request)
                return answer
        except TimeoutError:
            return HttpFailure(11200, f"no answer within {REQUEST_TIMEOUT:g} s")

    async def _post(self, url: str, request: Request) -> HttpAnswer | HttpFailure:
        assert self._session is not None
        try:
            async with self._session.post(
                url,
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
            ) as response:
                body = await response.read()
                if response.status >= 400:
                    return HttpFailure(11200, f"status {response.status}")
                return HttpAnswer(response.status, response.headers.get("Content-Type", ""), body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return HttpFailure(11205, str(error))
        except aiohttp.ClientError as error:
            return HttpFailure(11200, repr(error))
