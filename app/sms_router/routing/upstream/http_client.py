"""Calling an upstream with Twilio's manners: signature, cookies, redirects, limits (facts 1.1, 1.4, 1.5).

It is imported when something is forwarded: most routers never need aiohttp, which takes 8 MB.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from sms_router.routing.upstream.failure import UpstreamFailure
from sms_router.routing.upstream.forward_rule import Target
from sms_router.routing.upstream.models import Request, UpstreamResponse
from sms_router.twilio.signature import sign
from sms_router.twilio.twiml_parser import LARGEST_PAGE, HttpPage
from sms_router.twilio.webhook_url import Method, WebhookUrl

MOST_REDIRECTS = 10
"""HTTP redirects on the way to one document (11215; Twilio does not say how many it follows)."""

CONNECT_WITHIN = 5.0
"""Seconds to a connection, as with Twilio (facts 1.4), and never more than half of what is left."""

IDLE_CONNECTION = 1.5
"""Seconds that a connection is kept for the next text: shorter than servers keep theirs, so that none is
found closed."""

_REDIRECTS = {301: False, 302: False, 303: False, 307: True, 308: True}
"""Statuses, and whether a POST is repeated; otherwise comes a GET with nothing but what the link says."""

_CERTIFICATES = {10: 11236, 18: 11237, 19: 11237, 20: 11237, 21: 11237, 62: 11235, 64: 11235}
"""OpenSSL's number for what is wrong with a certificate, and the debugger's."""


@dataclass(frozen=True, slots=True)
class _Redirected:
    location: str
    keeps_method: bool


def open_session() -> aiohttp.ClientSession:
    """Open the connections of one worker; how many there may be is for the lines to bound.

    Proxies of the environment are not used: an upstream is called as it is written.
    """
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_CONNECTION, ttl_dns_cache=30)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)


async def fetch(
    session: aiohttp.ClientSession, target: Target, request: Request, until: float
) -> UpstreamResponse | UpstreamFailure:
    """Fetch a document before ``until``, by the monotonic clock; nothing that a server does raises."""
    seconds = until - time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            return await _follow(session, target, request, until)
    except TimeoutError:
        return UpstreamFailure(
            11200, f"no answer within {seconds:.1f} s", target.url, counts_against_circuit=True
        )


async def _follow(
    session: aiohttp.ClientSession, target: Target, request: Request, until: float
) -> UpstreamResponse | UpstreamFailure:
    for _ in range(MOST_REDIRECTS + 1):
        answer = await _with_retry(session, target, request, until)
        if isinstance(answer, UpstreamFailure):
            return answer
        if isinstance(answer, HttpPage):
            return UpstreamResponse(answer, target.url)
        try:
            url = target.url.join(answer.location)
        except ValueError as error:
            return UpstreamFailure(11100, f"is redirected to a URL that {error}", target.url)
        if not request.allows(url):
            return UpstreamFailure(11100, _forbidden(url), target.url)
        if answer.keeps_method and target.method is Method.POST:
            target = replace(target, url=url)
        else:
            target, request = Target(url, Method.GET), replace(request, parameters=())
    return UpstreamFailure(11215, f"more than {MOST_REDIRECTS} redirects", target.url)


def _forbidden(url: WebhookUrl) -> str:
    return f"is redirected to another host; to allow it, name {url.host} in redirect_hosts"


async def _with_retry(
    session: aiohttp.ClientSession, target: Target, request: Request, until: float
) -> HttpPage | _Redirected | UpstreamFailure:
    """Call once; once more when there was no connection, and with credentials when they are asked for."""
    answer = await _attempt(session, target, request, until)
    if isinstance(answer, UpstreamFailure) and answer.code in RETRYABLE_CODES and until > time.monotonic():
        answer = await _attempt(session, target, request, until)
    if isinstance(answer, _Challenged):
        credentials = target.url.credentials
        if credentials is None:
            return UpstreamFailure(11200, "HTTP 401", target.url)
        headers = {**request.headers, "Authorization": credentials}
        answer = await _attempt(session, target, replace(request, headers=headers), until)
    return UpstreamFailure(11200, "HTTP 401", target.url) if isinstance(answer, _Challenged) else answer


class _Challenged:
    """The server wants a user name and a password: Twilio keeps them back until then (facts 1.5)."""


RETRYABLE_CODES = frozenset({11205, 11210, 11220})


async def _attempt(
    session: aiohttp.ClientSession, target: Target, request: Request, until: float
) -> HttpPage | _Redirected | _Challenged | UpstreamFailure:
    try:
        return await _send(session, target, request, until)
    except (aiohttp.ClientError, ValueError) as error:
        return _failure(error, target.url)


async def _send(
    session: aiohttp.ClientSession, target: Target, request: Request, until: float
) -> HttpPage | _Redirected | _Challenged | UpstreamFailure:
    form = urlencode(request.parameters)
    get = target.method is Method.GET
    url = target.url.with_query(form) if get else target.url.called
    cookies = request.jar.header(target.url)
    async with session.request(
        target.method.value,
        URL(url, encoded=True),
        headers={
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            **request.headers,
            "X-Twilio-Signature": sign(url, () if get else request.parameters, request.token),
            **({} if get else {"Content-Type": "application/x-www-form-urlencoded"}),
            **({"Cookie": cookies} if cookies else {}),
        },
        data=None if get else form.encode(),
        allow_redirects=False,
        timeout=_timeout(until),
    ) as response:
        request.jar.take(response.cookies, target.url)
        return await _read(response, target.url)


def _timeout(until: float) -> aiohttp.ClientTimeout:
    left = max(0.01, until - time.monotonic())
    return aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_WITHIN, left / 2))


async def _read(
    response: aiohttp.ClientResponse, url: WebhookUrl
) -> HttpPage | _Redirected | _Challenged | UpstreamFailure:
    if response.status in _REDIRECTS and "Location" in response.headers:
        return _Redirected(response.headers["Location"], _REDIRECTS[response.status])
    if response.status == 401 and response.headers.get("WWW-Authenticate", "").strip().lower().startswith(
        "basic"
    ):
        return _Challenged()
    if response.status >= 300:
        return UpstreamFailure(
            11200, f"HTTP {response.status}", url, counts_against_circuit=response.status >= 500
        )
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LARGEST_PAGE:
            response.close()
            return UpstreamFailure(11750, "the answer is larger than 64 kB", url)
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return HttpPage(response.status, media_type, _charset(response), bytes(body))


def _charset(response: aiohttp.ClientResponse) -> str | None:
    try:
        return response.charset
    except ValueError:
        return None


def _failure(error: Exception, url: WebhookUrl) -> UpstreamFailure:
    """Name what happened in place of an answer."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        number = getattr(error.certificate_error, "verify_code", 0)
        reason = getattr(error.certificate_error, "verify_message", "is not trusted")
        return UpstreamFailure(
            _CERTIFICATES.get(number, 11220), f"the certificate: {reason}", url, counts_against_circuit=True
        )
    for kinds, code, reason in _FAILURES:
        if isinstance(error, kinds):
            return UpstreamFailure(code, f"{reason}{_told(error)}", url, counts_against_circuit=True)
    return UpstreamFailure(11100, "cannot be called", url)


def _told(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return ""
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return f": {getattr(error, 'reason', None) or 'the handshake failed'}"
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno and error.errno > 0:
        return f": {os.strerror(error.errno)}"
    return ""


_FAILURES: tuple[tuple[tuple[type[Exception], ...], int, str], ...] = (
    ((aiohttp.ClientConnectorDNSError,), 11210, "the host is not found"),
    ((aiohttp.ClientSSLError,), 11220, "no TLS"),
    ((aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError), 11205, "no connection"),
    ((aiohttp.ServerTimeoutError,), 11200, "no answer in time"),
    ((aiohttp.ClientResponseError,), 11206, "the answer is not HTTP"),
    ((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError), 11206, "the connection broke off"),
    ((aiohttp.ClientPayloadError,), 11200, "the answer broke off"),
)
"""What an exception means: the first that fits, as some are kinds of others."""
