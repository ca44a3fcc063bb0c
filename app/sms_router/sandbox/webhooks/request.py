"""One signed request, and what its answer or its failure means (facts 1.3, 1.5, 3)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.cookies import CookieError
from urllib.parse import unquote, urlsplit

import aiohttp
from yarl import URL

from sms_router.sandbox.webhooks.connection_policy import ConnectionPolicy, WebhookFailureKind
from sms_router.sandbox.webhooks.page import FetchFailure, WebhookPage, WebhookTarget
from sms_router.sandbox.webhooks.signing import SignedWebhook, Signer
from sms_router.sandbox.world.proxy import ReverseProxy

LARGEST_ANSWER = 64 * 1024
"""Bytes; beyond it the answer is refused with 11750."""

_REDIRECTS = {301: False, 302: False, 303: False, 307: True, 308: True}
"""Statuses, and whether the request is repeated; after the others comes a GET without parameters."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What stays the same through retries and redirects."""

    parameters: Mapping[str, str]
    token: str
    cookies: aiohttp.CookieJar | None

    def without_parameters(self) -> Attempt:
        """Return what is left of it after a 301 or 302."""
        return replace(self, parameters={})


@dataclass(frozen=True, slots=True)
class Redirected:
    """The answer is somewhere else."""

    location: str
    keeps_method: bool


class RequestMaker:
    """Makes single requests, as patiently as a policy says."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        signer: Signer,
        policy: ConnectionPolicy,
        proxy: ReverseProxy | None,
    ) -> None:
        """Send through ``session`` what ``signer`` signs, to where ``proxy`` takes it."""
        self._proxy = proxy
        self._session = session
        self._signer = signer
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=policy.connect, sock_read=policy.read)

    async def once(self, target: WebhookTarget, attempt: Attempt) -> WebhookPage | FetchFailure | Redirected:
        """Call a URL; credentials in it are kept back until the server asks for them (facts 1.5)."""
        try:
            request = self._signer.sign(target.method, target.url, attempt.parameters, attempt.token)
        except ValueError as error:
            return _failure(error, target.url)
        answer = await self._safely(target, request, attempt.cookies)
        authorization = _basic(target.url)
        if authorization and isinstance(answer, FetchFailure) and answer.challenge.startswith("basic"):
            request = replace(request, headers={**request.headers, "Authorization": authorization})
            answer = await self._safely(target, request, attempt.cookies)
        return answer

    async def _safely(
        self, target: WebhookTarget, request: SignedWebhook, cookies: aiohttp.CookieJar | None
    ) -> WebhookPage | FetchFailure | Redirected:
        try:
            return await self._send(target, request, cookies)
        except (aiohttp.ClientError, ValueError) as error:
            return _failure(error, target.url)

    async def _send(
        self, target: WebhookTarget, request: SignedWebhook, cookies: aiohttp.CookieJar | None
    ) -> WebhookPage | FetchFailure | Redirected:
        url = URL(request.url, encoded=True)
        forwarded = URL(self._proxy.forward(request.url), encoded=True) if self._proxy else url
        host = {"Host": url.raw_authority} if forwarded != url else {}
        async with self._session.request(
            request.method.value,
            forwarded,
            headers={**request.headers, **host, **_cookie_header(cookies, url)},
            data=request.body,
            allow_redirects=False,
            timeout=self._timeout,
        ) as response:
            if cookies is not None:
                # Patched Pythons refuse a cookie for a folder whose name has control characters.
                with contextlib.suppress(CookieError):
                    cookies.update_cookies(response.cookies, url)
            try:
                return await _read(response, target.url)
            except aiohttp.ClientError as error:
                reason = f"the answer broke off: {error!r}"
                return FetchFailure(11200, reason, target.url, response.status)


async def _read(response: aiohttp.ClientResponse, url: str) -> WebhookPage | FetchFailure | Redirected:
    if response.status in _REDIRECTS and "Location" in response.headers:
        return Redirected(response.headers["Location"], _REDIRECTS[response.status])
    if response.status >= 400:
        return _error_status(response, url)
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            return FetchFailure(11750, "the answer is larger than 64 kB", url, response.status)
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return WebhookPage(url, response.status, media_type, bytes(body))


def _error_status(response: aiohttp.ClientResponse, url: str) -> FetchFailure:
    trouble = WebhookFailureKind.CLIENT_ERROR if response.status < 500 else WebhookFailureKind.SERVER_ERROR
    challenge = response.headers.get("WWW-Authenticate", "") if response.status == 401 else ""
    reason = f"HTTP {response.status}"
    return FetchFailure(11200, reason, url, response.status, trouble, challenge.strip().lower())


def _failure(error: Exception, url: str) -> FetchFailure:
    """Name what happened before there was an answer."""
    for kinds, code, trouble, reason in _FAILURES:
        if isinstance(error, kinds):
            return FetchFailure(code, reason.format(error=_told(error)), url, trouble=trouble)
    return FetchFailure(11200, f"the answer broke off: {error!r}", url)


def _told(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno and error.errno > 0:
        return f"{error.host}:{error.port}: {os.strerror(error.errno)}"
    return error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)


_FAILURES: tuple[tuple[tuple[type[Exception], ...], int, WebhookFailureKind | None, str], ...] = (
    ((aiohttp.ClientConnectorDNSError,), 11210, WebhookFailureKind.CONNECT, "host not found: {error}"),
    ((aiohttp.ClientSSLError,), 11220, WebhookFailureKind.CONNECT, "TLS: {error}"),
    (
        (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError),
        11205,
        WebhookFailureKind.CONNECT,
        "no connection to {error}",
    ),
    ((aiohttp.SocketTimeoutError,), 11200, WebhookFailureKind.READ, "no answer in time: {error}"),
    (
        (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError),
        11100,
        None,
        "not a URL that can be called: {error}",
    ),
    ((aiohttp.ClientResponseError,), 11206, None, "not HTTP: {error}"),
)
"""What an exception means: the first that fits, as some are kinds of others."""


def _basic(url: str) -> str:
    parts = urlsplit(url)
    if not parts.username:
        return ""
    return aiohttp.encode_basic_auth(unquote(parts.username), unquote(parts.password or ""))


def _cookie_header(cookies: aiohttp.CookieJar | None, url: URL) -> Mapping[str, str]:
    fitting = cookies.filter_cookies(url) if cookies is not None else {}
    pairs = "; ".join(f"{morsel.key}={morsel.coded_value}" for morsel in fitting.values())
    return {"Cookie": pairs} if pairs else {}
