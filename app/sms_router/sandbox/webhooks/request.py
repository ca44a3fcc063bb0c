"""One signed request, and what its response or its failure means to Twilio (facts 1.3, 1.5, 3)."""

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
from sms_router.sandbox.webhooks.signing import SignedWebhook, WebhookSigner
from sms_router.sandbox.world.world import ReverseProxy

MAX_PAGE_BYTES = 64 * 1024
"""A larger page is rejected with 11750."""

_REDIRECTS = {301: False, 302: False, 303: False, 307: True, 308: True}
"""By status: whether the request is repeated; otherwise a GET without parameters follows."""


@dataclass(frozen=True, slots=True)
class WebhookCall:
    """What stays the same through retries and redirects."""

    parameters: Mapping[str, str]
    idempotency_token: str
    cookies: aiohttp.CookieJar | None

    def without_parameters(self) -> WebhookCall:
        return replace(self, parameters={})


@dataclass(frozen=True, slots=True)
class WebhookRedirect:
    """A response that leads to another URL."""

    location: str
    keeps_method: bool


class WebhookRequester:
    """Sends single signed requests, with the timeouts of a policy."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        signer: WebhookSigner,
        policy: ConnectionPolicy,
        proxy: ReverseProxy | None,
    ) -> None:
        self._proxy = proxy
        self._session = session
        self._signer = signer
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=policy.connect, sock_read=policy.read)

    async def send(
        self, target: WebhookTarget, call: WebhookCall
    ) -> WebhookPage | FetchFailure | WebhookRedirect:
        """Call a URL; credentials in it are sent only when the server requires them (facts 1.5)."""
        result = await self._attempt(target, call, {})
        if isinstance(result, FetchFailure) and result.challenge.startswith("basic"):
            authorization = _basic_authorization(target.url)
            if authorization:
                return await self._attempt(target, call, {"Authorization": authorization})
        return result

    async def _attempt(
        self, target: WebhookTarget, call: WebhookCall, headers: Mapping[str, str]
    ) -> WebhookPage | FetchFailure | WebhookRedirect:
        try:
            request = self._signer.sign(target.method, target.url, call.parameters, call.idempotency_token)
            return await self._request(target.url, request, call.cookies, headers)
        except (aiohttp.ClientError, ValueError) as error:
            return _failure(error, target.url)

    async def _request(
        self,
        target_url: str,
        request: SignedWebhook,
        cookies: aiohttp.CookieJar | None,
        headers: Mapping[str, str],
    ) -> WebhookPage | FetchFailure | WebhookRedirect:
        url = URL(request.url, encoded=True)
        forwarded = URL(self._proxy.forward(request.url), encoded=True) if self._proxy else url
        host = {"Host": url.raw_authority} if forwarded != url else {}
        async with self._session.request(
            request.method.value,
            forwarded,
            headers={**request.headers, **headers, **host, **_cookie_header(cookies, url)},
            data=request.body,
            allow_redirects=False,
            timeout=self._timeout,
        ) as response:
            if cookies is not None:
                # Patched Pythons refuse a cookie for a folder whose name has control characters.
                with contextlib.suppress(CookieError):
                    cookies.update_cookies(response.cookies, url)
            try:
                return await _read(response, target_url)
            except aiohttp.ClientError as error:
                reason = f"the response is incomplete: {error!r}"
                return FetchFailure(11200, reason, target_url, response.status)


async def _read(response: aiohttp.ClientResponse, url: str) -> WebhookPage | FetchFailure | WebhookRedirect:
    if response.status in _REDIRECTS and "Location" in response.headers:
        return WebhookRedirect(response.headers["Location"], _REDIRECTS[response.status])
    if response.status >= 400:
        return _error_status(response, url)
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_PAGE_BYTES:
            return FetchFailure(11750, "the response is larger than 64 kB", url, response.status)
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return WebhookPage(url, response.status, media_type, bytes(body))


def _error_status(response: aiohttp.ClientResponse, url: str) -> FetchFailure:
    kind = WebhookFailureKind.CLIENT_ERROR if response.status < 500 else WebhookFailureKind.SERVER_ERROR
    challenge = response.headers.get("WWW-Authenticate", "") if response.status == 401 else ""
    reason = f"HTTP {response.status}"
    return FetchFailure(11200, reason, url, response.status, kind, challenge.strip().lower())


def _failure(error: Exception, url: str) -> FetchFailure:
    """Return the failure for an exception that was raised before there was a response."""
    for exceptions, code, kind, reason in _FAILURES:
        if isinstance(error, exceptions):
            return FetchFailure(code, reason.format(error=_description(error)), url, kind=kind)
    return FetchFailure(11200, f"the response is incomplete: {error!r}", url)


def _description(error: Exception) -> str:
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
    ((aiohttp.SocketTimeoutError,), 11200, WebhookFailureKind.READ, "no response in time: {error}"),
    (
        (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError),
        11100,
        None,
        "not a URL that can be called: {error}",
    ),
    ((aiohttp.ClientResponseError,), 11206, None, "not HTTP: {error}"),
)
"""The first entry that matches counts: some exceptions are subclasses of others."""


def _basic_authorization(url: str) -> str:
    parts = urlsplit(url)
    if not parts.username:
        return ""
    return aiohttp.encode_basic_auth(unquote(parts.username), unquote(parts.password or ""))


def _cookie_header(cookies: aiohttp.CookieJar | None, url: URL) -> Mapping[str, str]:
    matching = cookies.filter_cookies(url) if cookies is not None else {}
    pairs = "; ".join(f"{morsel.key}={morsel.coded_value}" for morsel in matching.values())
    return {"Cookie": pairs} if pairs else {}
