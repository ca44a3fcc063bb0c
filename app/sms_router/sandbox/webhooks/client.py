"""Calls a customer's URL with Twilio's timeouts, retries, redirects and limits (facts 1.4, 1.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType

import aiohttp

from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.webhooks.connection_policy import (
    ConnectionPolicy,
    InvalidOverride,
    apply_overrides,
)
from sms_router.sandbox.webhooks.page import FetchFailure, WebhookPage, WebhookTarget, resolve_url
from sms_router.sandbox.webhooks.request import WebhookCall, WebhookRedirect, WebhookRequester
from sms_router.sandbox.webhooks.signing import WebhookSigner
from sms_router.sandbox.world.numbers import HttpMethod
from sms_router.sandbox.world.world import ReverseProxy

_MAX_REDIRECTS = 10
_MAX_CONNECTIONS = 200
_IDLE_CONNECTION_TIMEOUT = 2.0
"""Seconds; shorter than servers keep idle connections, so that none is used after the server closed it."""


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
        (result,) = await self._fetch(target, parameters, cookies, times=1)
        return result

    async def fetch_twice(
        self, target: WebhookTarget, parameters: Mapping[str, str], cookies: aiohttp.CookieJar | None = None
    ) -> tuple[WebhookPage | FetchFailure, WebhookPage | FetchFailure]:
        """Deliver one request twice at once, like a retry after a first attempt that did arrive."""
        first, second = await self._fetch(target, parameters, cookies, times=2)
        return first, second

    async def _fetch(
        self,
        target: WebhookTarget,
        parameters: Mapping[str, str],
        cookies: aiohttp.CookieJar | None,
        *,
        times: int,
    ) -> list[WebhookPage | FetchFailure]:
        call = WebhookCall(parameters, self._identifiers.idempotency_token(), cookies)
        policy = apply_overrides(target.url, self._policy)
        if isinstance(policy, InvalidOverride):
            return [FetchFailure(policy.code, policy.reason, target.url)] * times
        return await asyncio.gather(*(self._fetch_once(target, call, policy) for _ in range(times)))

    async def _fetch_once(
        self, target: WebhookTarget, call: WebhookCall, policy: ConnectionPolicy
    ) -> WebhookPage | FetchFailure:
        if self._session is None:
            raise RuntimeError("enter the WebhookClient before calling")
        requester = WebhookRequester(self._session, self._signer, policy, self._proxy)
        try:
            async with asyncio.timeout(policy.total):
                for _ in range(policy.retries):
                    result = await _follow_redirects(requester, target, call)
                    if isinstance(result, WebhookPage) or result.kind not in policy.retried:
                        return result
                return await _follow_redirects(requester, target, call)
        except TimeoutError:
            return FetchFailure(11200, f"no response within {policy.total:g} s", target.url)


async def _follow_redirects(
    requester: WebhookRequester, target: WebhookTarget, call: WebhookCall
) -> WebhookPage | FetchFailure:
    for _ in range(_MAX_REDIRECTS + 1):
        result = await requester.send(target, call)
        if not isinstance(result, WebhookRedirect):
            return result
        url = resolve_url(target.url, result.location)
        if result.keeps_method:
            target = WebhookTarget(url, target.method)
        else:
            target, call = WebhookTarget(url, HttpMethod.GET), call.without_parameters()
    return FetchFailure(11215, f"more than {_MAX_REDIRECTS} redirects", target.url)
