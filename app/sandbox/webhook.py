"""Calling a customer's URL with Twilio's manners: timeouts, one retry, redirects, limits (facts 1.4, 1.5)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from app.sandbox.identifiers import Identifiers
from app.sandbox.numbers import Method
from app.sandbox.signing import Signer

LARGEST_ANSWER = 64 * 1024
"""Bytes; beyond it the answer is refused with 11750."""

_MOST_REDIRECTS = 10
_MOST_CONNECTIONS = 200
_IDLE_CONNECTION = 2.0
"""Seconds; shorter than servers keep idle connections, so that none is found closed."""


@dataclass(frozen=True, slots=True)
class ConnectionPolicy:
    """Twilio's defaults, in seconds: the overrides ``#ct``, ``#tt`` and ``#rc`` will be read into it."""

    connect: float = 5.0
    total: float = 15.0
    retries: int = 1


@dataclass(frozen=True, slots=True)
class Target:
    """A URL to call, and how."""

    url: str
    method: Method = Method.POST


@dataclass(frozen=True, slots=True)
class Page:
    """An answer below 400. ``media_type`` has no parameters and is in lower case."""

    url: str
    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """Why there is no page, with the debugger's code (facts 3)."""

    code: int
    reason: str
    url: str
    status: int | None = None


class _NotConnectedError(Exception):
    """The only failure that is tried again."""

    def __init__(self, failure: FetchFailure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class WebhookClient:
    """Calls webhooks; use it as an asynchronous context manager."""

    def __init__(self, auth_token: str, identifiers: Identifiers, policy: ConnectionPolicy) -> None:
        """Sign with ``auth_token`` and wait as ``policy`` says."""
        self._signer = Signer(auth_token)
        self._identifiers = identifiers
        self._policy = policy
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> WebhookClient:
        """Open the connections."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._policy.connect)
        connector = aiohttp.TCPConnector(limit=_MOST_CONNECTIONS, keepalive_timeout=_IDLE_CONNECTION)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()

    async def fetch(self, target: Target, parameters: Mapping[str, str]) -> Page | FetchFailure:
        """Call a URL and return its page, or why there is none; never raises for what a server does."""
        try:
            async with asyncio.timeout(self._policy.total):
                return await self._with_retries(target, parameters)
        except TimeoutError:
            return FetchFailure(11200, f"no answer within {self._policy.total:g} s", target.url)

    async def _with_retries(self, target: Target, parameters: Mapping[str, str]) -> Page | FetchFailure:
        token = self._identifiers.idempotency_token()
        for attempt in range(self._policy.retries + 1):
            try:
                return await self._follow(target, parameters, token)
            except _NotConnectedError as error:
                if attempt == self._policy.retries:
                    return error.failure
        raise AssertionError("a policy has at least no retries")

    async def _follow(self, target: Target, parameters: Mapping[str, str], token: str) -> Page | FetchFailure:
        url, method = target.url, target.method
        for _ in range(_MOST_REDIRECTS + 1):
            answer = await self._once(Target(url, method), parameters, token)
            if not isinstance(answer, _Redirected):
                return answer
            url = urljoin(url, answer.location)
            if not answer.keeps_method:
                method, parameters = Method.GET, {}
        return FetchFailure(11215, f"more than {_MOST_REDIRECTS} redirects", url)

    async def _once(
        self, target: Target, parameters: Mapping[str, str], token: str
    ) -> Page | FetchFailure | _Redirected:
        if self._session is None:
            raise RuntimeError("enter the WebhookClient before calling")
        request = self._signer.sign(target.method, target.url, parameters, token)
        try:
            async with self._session.request(
                request.method.value,
                URL(request.url, encoded=True),
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
            ) as response:
                return await _read(response, target.url)
        except aiohttp.ClientConnectorDNSError as error:
            raise _NotConnectedError(FetchFailure(11210, f"host not found: {error}", target.url)) from error
        except aiohttp.ClientSSLError as error:
            raise _NotConnectedError(FetchFailure(11220, f"TLS: {error}", target.url)) from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _NotConnectedError(FetchFailure(11205, _unconnected(error), target.url)) from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError) as error:
            return FetchFailure(11100, f"not a URL that can be called: {error}", target.url)
        except aiohttp.ClientResponseError as error:
            return FetchFailure(11206, f"not HTTP: {error.message}", target.url)
        except aiohttp.ClientError as error:
            return FetchFailure(11200, f"the answer broke off: {error!r}", target.url)


def _unconnected(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno:
        return f"no connection to {error.host}:{error.port}: {os.strerror(error.errno)}"
    return f"no connection: {error}"


@dataclass(frozen=True, slots=True)
class _Redirected:
    location: str
    keeps_method: bool
    """307 and 308 repeat the request; after 301 and 302 comes a GET without parameters (facts 1.5)."""


async def _read(response: aiohttp.ClientResponse, url: str) -> Page | FetchFailure | _Redirected:
    if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
        return _Redirected(response.headers["Location"], response.status in (307, 308))
    if response.status >= 400:
        return FetchFailure(11200, f"HTTP {response.status}", url, response.status)
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            return FetchFailure(11750, "the answer is larger than 64 kB", url, response.status)
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return Page(url, response.status, media_type, bytes(body))
