"""HTTP requests to an upstream as Twilio sends them: signature, cookies, redirects, limits (facts 1.1-1.5).

The module is imported when something is forwarded: most routers do not need aiohttp, which takes 8 MB.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
import time
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from sms_router.routing.upstream.forward_rule import Target
from sms_router.routing.upstream.models import UpstreamFailure, UpstreamRequest, UpstreamResponse
from sms_router.twilio.signature import sign
from sms_router.twilio.twiml_parser import MAX_PAGE_BYTES, HttpPage
from sms_router.twilio.webhook_url import Method, WebhookUrl

MAX_REDIRECTS = 10
"""HTTP redirects per document (11215; Twilio does not document how many it follows)."""

CONNECT_TIMEOUT = 5.0
"""Seconds, as with Twilio (facts 1.4); at most half of the remaining time."""

KEEPALIVE_TIMEOUT = 1.5
"""Seconds that an idle connection is kept: less than servers keep it, so that it is not closed in use."""

_REDIRECT_STATUSES = {301: False, 302: False, 303: False, 307: True, 308: True}
"""Whether a POST is repeated; if not, a GET without the parameters follows (facts 1.5)."""

_CERTIFICATE_CODES = {10: 11236, 18: 11237, 19: 11237, 20: 11237, 21: 11237, 62: 11235, 64: 11235}
"""Error codes of Twilio's debugger by OpenSSL's verification codes."""

_RETRYABLE_CODES = frozenset({11205, 11210, 11220})
"""No connection was established: Twilio retries once (facts 1.4)."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class PrivateAddressError(OSError):
    """A host has only addresses that a URL from Twilio's side may not lead to.

    Who may change a number at Twilio could otherwise read the router's metrics or a cloud's metadata by text.
    """


@dataclass(frozen=True, slots=True)
class _HttpRedirect:
    location: str
    keeps_method: bool


@dataclass(frozen=True, slots=True)
class HttpSessions:
    """The sessions of one worker."""

    unrestricted: aiohttp.ClientSession
    public: aiohttp.ClientSession
    """Connects to public addresses only, and to `private_hosts`."""
    private_hosts: frozenset[str]

    def session_for(self, url: WebhookUrl, *, public_only: bool) -> aiohttp.ClientSession:
        """Return the session for a URL.

        Raises:
            PrivateAddressError: when its host is a private address that is not listed.

        """
        names = {text for name in (url.host, f"[{url.host}]") for text in (name, f"{name}:{url.port}")}
        if not public_only or not self.private_hosts.isdisjoint(names):
            return self.unrestricted
        if is_private(url.host):
            raise PrivateAddressError(url.host)
        return self.public

    async def aclose(self) -> None:
        await self.unrestricted.close()
        await self.public.close()


def is_private(host: str) -> bool:
    """Return whether a host is an IP address that is no public one; names are resolved later.

    It is loopback, link-local, private or reserved, or such an IPv4 address is embedded in it.
    """
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if embedded is not None:
            return is_private(str(embedded))
    return not ip.is_global or ip.is_multicast


class _PublicResolver(aiohttp.ThreadedResolver):
    """Resolves names to public addresses only: the connection is made to an address that was checked."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = await super().resolve(host, port, family)
        public = [address for address in addresses if not is_private(address["host"])]
        if not public:
            raise PrivateAddressError(host)
        return public


def open_sessions(private_hosts: frozenset[str]) -> HttpSessions:
    """Open the sessions of one worker; `EndpointPool` limits their connections.

    Proxies of the environment are ignored: an upstream is called as it is configured.
    """

    def open_session(resolver: AbstractResolver | None) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=KEEPALIVE_TIMEOUT, ttl_dns_cache=30, resolver=resolver
        )
        cookie_jar = aiohttp.DummyCookieJar()
        return aiohttp.ClientSession(connector=connector, cookie_jar=cookie_jar, trust_env=False)

    return HttpSessions(open_session(None), open_session(_PublicResolver()), private_hosts)


async def fetch(
    sessions: HttpSessions, target: Target, request: UpstreamRequest, deadline: float
) -> UpstreamResponse | UpstreamFailure:
    """Fetch a document and follow its HTTP redirects, until a deadline of the monotonic clock.

    Returns:
        The page, or why there is none; no behaviour of a server raises an exception.

    """
    seconds = deadline - time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            return await _follow_redirects(sessions, target, request, deadline)
    except TimeoutError:
        reason = f"no response within {seconds:.1f} s"
        return UpstreamFailure(11200, reason, target.url, counts_against_circuit=True)


async def _follow_redirects(
    sessions: HttpSessions, target: Target, request: UpstreamRequest, deadline: float
) -> UpstreamResponse | UpstreamFailure:
    for _ in range(MAX_REDIRECTS + 1):
        response = await _with_retry(sessions, target, request, deadline)
        if isinstance(response, UpstreamFailure):
            return response
        if isinstance(response, HttpPage):
            return UpstreamResponse(response, target.url)
        try:
            url = target.url.join(response.location)
        except ValueError as error:
            return UpstreamFailure(11100, f"redirects to a URL that {error}", target.url)
        if not request.allows(url):
            reason = f"redirects to another host; to allow it, add {url.host} to redirect_hosts"
            return UpstreamFailure(11100, reason, target.url)
        if response.keeps_method and target.method is Method.POST:
            target = replace(target, url=url)
        else:
            target, request = Target(url, Method.GET), replace(request, parameters=())
    return UpstreamFailure(11215, f"more than {MAX_REDIRECTS} redirects", target.url)


async def _with_retry(
    sessions: HttpSessions, target: Target, request: UpstreamRequest, deadline: float
) -> HttpPage | _HttpRedirect | UpstreamFailure:
    """Send a request; once more if no connection was established, and with credentials on request."""
    response = await _send(sessions, target, request, deadline)
    is_retryable = isinstance(response, UpstreamFailure) and response.code in _RETRYABLE_CODES
    if is_retryable and deadline > time.monotonic():
        response = await _send(sessions, target, request, deadline)
    credentials = target.url.credentials
    if isinstance(response, UpstreamFailure) and response.requires_credentials and credentials is not None:
        headers = {**request.headers, "Authorization": credentials}
        response = await _send(sessions, target, replace(request, headers=headers), deadline)
    return response


async def _send(
    sessions: HttpSessions, target: Target, request: UpstreamRequest, deadline: float
) -> HttpPage | _HttpRedirect | UpstreamFailure:
    form = urlencode(request.parameters)
    is_get = target.method is Method.GET
    url = target.url.with_query(form) if is_get else target.url.called
    cookies = request.cookies.header(target.url)
    remaining = max(0.01, deadline - time.monotonic())
    headers = {
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        **request.headers,
        "X-Twilio-Signature": sign(url, () if is_get else request.parameters, request.auth_token),
        **({} if is_get else {"Content-Type": "application/x-www-form-urlencoded"}),
        **({"Cookie": cookies} if cookies else {}),
    }
    try:
        async with sessions.session_for(target.url, public_only=request.public_only).request(
            target.method.value,
            URL(url, encoded=True),
            headers=headers,
            data=None if is_get else form.encode(),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_TIMEOUT, remaining / 2)),
        ) as response:
            request.cookies.update(response.cookies, target.url)
            return await _read(response, target.url)
    except (aiohttp.ClientError, ValueError, PrivateAddressError) as error:
        return _failure(error, target.url)


async def _read(
    response: aiohttp.ClientResponse, url: WebhookUrl
) -> HttpPage | _HttpRedirect | UpstreamFailure:
    if response.status in _REDIRECT_STATUSES and "Location" in response.headers:
        return _HttpRedirect(response.headers["Location"], _REDIRECT_STATUSES[response.status])
    challenge = response.headers.get("WWW-Authenticate", "").strip().lower()
    if response.status >= 300:
        return UpstreamFailure(
            11200,
            f"HTTP {response.status}",
            url,
            counts_against_circuit=response.status >= 500,
            requires_credentials=response.status == 401 and challenge.startswith("basic"),
        )
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_PAGE_BYTES:
            response.close()
            return UpstreamFailure(11750, "the response is larger than 64 kB", url)
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return HttpPage(response.status, media_type, _charset(response), bytes(body))


def _charset(response: aiohttp.ClientResponse) -> str | None:
    try:
        return response.charset
    except ValueError:
        return None


_FAILURES: tuple[tuple[tuple[type[Exception], ...], int, str], ...] = (
    ((aiohttp.ClientConnectorDNSError,), 11210, "the host is not found"),
    ((aiohttp.ClientSSLError,), 11220, "no TLS"),
    ((aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError), 11205, "no connection"),
    ((aiohttp.ServerTimeoutError,), 11200, "no response in time"),
    ((aiohttp.ClientResponseError,), 11206, "the response is not HTTP"),
    ((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError), 11206, "the connection was closed"),
    ((aiohttp.ClientPayloadError,), 11200, "the response is incomplete"),
)
"""The code and reason of each exception. The first match counts, because some are subclasses of others."""


def _failure(error: Exception, url: WebhookUrl) -> UpstreamFailure:
    if isinstance(error, PrivateAddressError) or isinstance(error.__cause__, PrivateAddressError):
        reason = f"has no public address; to call it all the same, add {url.host} to private_hosts"
        return UpstreamFailure(11100, reason, url)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        code = getattr(error.certificate_error, "verify_code", 0)
        reason = getattr(error.certificate_error, "verify_message", "is not trusted")
        return UpstreamFailure(
            _CERTIFICATE_CODES.get(code, 11220),
            f"the certificate: {reason}",
            url,
            counts_against_circuit=True,
        )
    for types, code, reason in _FAILURES:
        if isinstance(error, types):
            return UpstreamFailure(code, f"{reason}{_detail(error)}", url, counts_against_circuit=True)
    detail = f": {error}" if isinstance(error, aiohttp.ClientConnectionError) and str(error) else ""
    return UpstreamFailure(11100, f"cannot be called{detail}", url)


def _detail(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return ""
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return f": {getattr(error, 'reason', None) or 'the handshake failed'}"
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno and error.errno > 0:
        return f": {os.strerror(error.errno)}"
    return ""
