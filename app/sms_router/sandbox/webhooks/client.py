"""Calls a customer's URL: signed, with Twilio's timeouts, retries, redirects and limits (facts 1 to 3)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import string
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.cookies import CookieError
from types import TracebackType
from urllib.parse import quote, unquote, urlencode, urlsplit, urlunsplit

import aiohttp
from twilio.request_validator import RequestValidator
from yarl import URL

from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.webhooks.connection_policy import (
    ConnectionPolicy,
    InvalidOverrideError,
    WebhookFailureKind,
    apply_overrides,
)
from sms_router.sandbox.webhooks.page import FetchFailure, WebhookPage, WebhookTarget, resolve_url
from sms_router.sandbox.world.numbers import HttpMethod
from sms_router.sandbox.world.world import ReverseProxy

MAX_PAGE_BYTES = 64 * 1024
"""A larger page is rejected with 11750."""

_MAX_REDIRECTS = 10
_MAX_CONNECTIONS = 200
_IDLE_CONNECTION_TIMEOUT = 2.0
"""Seconds; shorter than servers keep idle connections, so that none is used after the server closed it."""

_REDIRECTS = {301: False, 302: False, 303: False, 307: True, 308: True}
"""By status: whether the request is repeated; otherwise a GET without parameters follows."""


@dataclass(frozen=True, slots=True)
class WebhookCall:
    """What stays the same through retries and redirects."""

    parameters: Mapping[str, str]
    idempotency_token: str
    cookies: aiohttp.CookieJar | None


@dataclass(frozen=True, slots=True)
class SignedWebhook:
    """``url`` is exactly what was signed; ``body`` is None for GET."""

    method: HttpMethod
    url: str
    headers: Mapping[str, str]
    body: bytes | None


class WebhookSigner:
    """Builds requests with the account's signature."""

    def __init__(self, auth_token: str) -> None:
        self._validator = RequestValidator(auth_token)

    def sign(
        self, method: HttpMethod, url: str, parameters: Mapping[str, str], idempotency_token: str
    ) -> SignedWebhook:
        """Put the parameters into the query (GET) or the body (POST), and sign the request."""
        target = signed_url(url)
        form = urlencode(parameters)
        signed: Mapping[str, str] = parameters
        headers = {
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
            "X-Home-Region": "us1",
            "I-Twilio-Idempotency-Token": idempotency_token,
        }
        if method is HttpMethod.GET:
            signed = {}
            if form:
                target = f"{target}{'&' if '?' in target else '?'}{form}"
        else:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        headers["X-Twilio-Signature"] = self._validator.compute_signature(target, dict(signed))
        return SignedWebhook(method, target, headers, None if method is HttpMethod.GET else form.encode())


@dataclass(frozen=True, slots=True)
class WebhookRedirect:
    """A response that leads to another URL."""

    location: str
    keeps_method: bool


class WebhookClient:
    """Calls webhooks; use it as an asynchronous context manager."""

    def __init__(
        self,
        auth_token: str,
        identifiers: Identifiers,
        policy: ConnectionPolicy,
        proxy: ReverseProxy | None = None,
    ) -> None:
        """``auth_token`` signs the requests; ``policy`` holds unless a URL overrides it."""
        self._signer = WebhookSigner(auth_token)
        self._identifiers = identifiers
        self._policy = policy
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> WebhookClient:
        connector = aiohttp.TCPConnector(limit=_MAX_CONNECTIONS, keepalive_timeout=_IDLE_CONNECTION_TIMEOUT)
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def fetch(
        self, target: WebhookTarget, parameters: Mapping[str, str], cookies: aiohttp.CookieJar | None = None
    ) -> WebhookPage | FetchFailure:
        """Call a URL and return its page, or why there is none; never raises for what a server does."""
        return await self._fetch(target, self._call(parameters, cookies))

    async def fetch_twice(
        self, target: WebhookTarget, parameters: Mapping[str, str], cookies: aiohttp.CookieJar | None = None
    ) -> tuple[WebhookPage | FetchFailure, WebhookPage | FetchFailure]:
        """Deliver one request twice at once, like a retry after a first attempt that did arrive."""
        call = self._call(parameters, cookies)
        return await asyncio.gather(self._fetch(target, call), self._fetch(target, call))

    def _call(self, parameters: Mapping[str, str], cookies: aiohttp.CookieJar | None) -> WebhookCall:
        return WebhookCall(parameters, self._identifiers.idempotency_token(), cookies)

    async def _fetch(self, target: WebhookTarget, call: WebhookCall) -> WebhookPage | FetchFailure:
        try:
            policy = apply_overrides(target.url, self._policy)
        except InvalidOverrideError as error:
            return FetchFailure(error.code, error.reason, target.url)
        try:
            async with asyncio.timeout(policy.total):
                for _ in range(policy.retries):
                    result = await self._follow_redirects(target, call, policy)
                    if isinstance(result, WebhookPage) or result.kind not in policy.retried:
                        return result
                return await self._follow_redirects(target, call, policy)
        except TimeoutError:
            return FetchFailure(11200, f"no response within {policy.total:g} s", target.url)

    async def _follow_redirects(
        self, target: WebhookTarget, call: WebhookCall, policy: ConnectionPolicy
    ) -> WebhookPage | FetchFailure:
        for _ in range(_MAX_REDIRECTS + 1):
            result = await self._send(target, call, policy)
            if not isinstance(result, WebhookRedirect):
                return result
            url = resolve_url(target.url, result.location)
            if result.keeps_method:
                target = WebhookTarget(url, target.method)
            else:
                target, call = WebhookTarget(url, HttpMethod.GET), replace(call, parameters={})
        return FetchFailure(11215, f"more than {_MAX_REDIRECTS} redirects", target.url)

    async def _send(
        self, target: WebhookTarget, call: WebhookCall, policy: ConnectionPolicy
    ) -> WebhookPage | FetchFailure | WebhookRedirect:
        """Send a request, with the credentials in its URL only when the server requires them (facts 1.5)."""
        result = await self._attempt(target, call, policy, {})
        if isinstance(result, FetchFailure) and result.challenge.startswith("basic"):
            authorization = _basic_authorization(target.url)
            if authorization:
                return await self._attempt(target, call, policy, {"Authorization": authorization})
        return result

    async def _attempt(
        self, target: WebhookTarget, call: WebhookCall, policy: ConnectionPolicy, headers: Mapping[str, str]
    ) -> WebhookPage | FetchFailure | WebhookRedirect:
        try:
            return await self._request(target, call, policy, headers)
        except (aiohttp.ClientError, ValueError) as error:
            return _failure(error, target.url)

    async def _request(
        self, target: WebhookTarget, call: WebhookCall, policy: ConnectionPolicy, headers: Mapping[str, str]
    ) -> WebhookPage | FetchFailure | WebhookRedirect:
        if self._session is None:
            raise RuntimeError("enter the WebhookClient before calling")
        request = self._signer.sign(target.method, target.url, call.parameters, call.idempotency_token)
        url = URL(request.url, encoded=True)
        forwarded = URL(self._proxy.forward(request.url), encoded=True) if self._proxy else url
        host = {"Host": url.raw_authority} if forwarded != url else {}
        async with self._session.request(
            request.method.value,
            forwarded,
            headers={**request.headers, **headers, **host, **_cookie_header(call.cookies, url)},
            data=request.body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=policy.connect, sock_read=policy.read),
        ) as response:
            if call.cookies is not None:
                # Patched Pythons refuse a cookie for a folder whose name has control characters.
                with contextlib.suppress(CookieError):
                    call.cookies.update_cookies(response.cookies, url)
            try:
                return await _read(response, target.url)
            except aiohttp.ClientError as error:
                reason = f"the response is incomplete: {error!r}"
                return FetchFailure(11200, reason, target.url, response.status)


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


def signed_url(url: str) -> str:
    """Return the URL that is called and signed: no fragment, no userinfo, with its port (facts 2.2)."""
    parts = urlsplit(quote(url, safe=string.punctuation))
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
