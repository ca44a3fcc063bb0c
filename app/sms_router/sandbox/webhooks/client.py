"""Calling a customer's URL with Twilio's manners: timeouts, retries, redirects, limits (facts 1.4, 1.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType

import aiohttp

from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.webhooks.connection_policy import BadOverride, ConnectionPolicy, overridden
from sms_router.sandbox.webhooks.page import FetchFailure, WebhookPage, WebhookTarget, linked
from sms_router.sandbox.webhooks.request import Attempt, Redirected, RequestMaker
from sms_router.sandbox.webhooks.signing import Signer
from sms_router.sandbox.world.numbers import HttpMethod
from sms_router.sandbox.world.proxy import ReverseProxy

_MOST_REDIRECTS = 10
_MOST_CONNECTIONS = 200
_IDLE_CONNECTION = 2.0
"""Seconds; shorter than servers keep idle connections, so that none is found closed."""


class WebhookClient:
    """Calls webhooks; use it as an asynchronous context manager."""

    def __init__(
        self,
        auth_token: str,
        identifiers: Identifiers,
        policy: ConnectionPolicy,
        proxy: ReverseProxy | None = None,
    ) -> None:
        """Sign with ``auth_token``, wait as ``policy`` says unless a URL overrides it, go by ``proxy``."""
        self._signer = Signer(auth_token)
        self._identifiers = identifiers
        self._policy = policy
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> WebhookClient:
        """Open the connections."""
        connector = aiohttp.TCPConnector(limit=_MOST_CONNECTIONS, keepalive_timeout=_IDLE_CONNECTION)
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()

    async def fetch(
        self, target: WebhookTarget, parameters: Mapping[str, str], cookies: aiohttp.CookieJar | None = None
    ) -> WebhookPage | FetchFailure:
        """Call a URL and return its page, or why there is none; never raises for what a server does."""
        (answer,) = await self._fetch(target, parameters, cookies, times=1)
        return answer

    async def fetch_twice(
        self, target: WebhookTarget, parameters: Mapping[str, str], cookies: aiohttp.CookieJar | None = None
    ) -> tuple[WebhookPage | FetchFailure, WebhookPage | FetchFailure]:
        """Deliver one request twice at once, as a retry does whose first try went through after all."""
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
        token = self._identifiers.idempotency_token()
        policy = overridden(target.url, self._policy)
        if isinstance(policy, BadOverride):
            return [FetchFailure(policy.code, policy.reason, target.url)] * times
        calls = [self._bounded(target, Attempt(parameters, token, cookies), policy) for _ in range(times)]
        return await asyncio.gather(*calls)

    async def _bounded(
        self, target: WebhookTarget, attempt: Attempt, policy: ConnectionPolicy
    ) -> WebhookPage | FetchFailure:
        try:
            async with asyncio.timeout(policy.total):
                return await self._with_retries(target, attempt, policy)
        except TimeoutError:
            return FetchFailure(11200, f"no answer within {policy.total:g} s", target.url)

    async def _with_retries(
        self, target: WebhookTarget, attempt: Attempt, policy: ConnectionPolicy
    ) -> WebhookPage | FetchFailure:
        if self._session is None:
            raise RuntimeError("enter the WebhookClient before calling")
        maker = RequestMaker(self._session, self._signer, policy, self._proxy)
        for _ in range(policy.retries):
            answer = await _follow(maker, target, attempt)
            if isinstance(answer, WebhookPage) or answer.trouble not in policy.retried:
                return answer
        return await _follow(maker, target, attempt)


async def _follow(maker: RequestMaker, target: WebhookTarget, attempt: Attempt) -> WebhookPage | FetchFailure:
    for _ in range(_MOST_REDIRECTS + 1):
        answer = await maker.once(target, attempt)
        if not isinstance(answer, Redirected):
            return answer
        url = linked(target.url, answer.location)
        if answer.keeps_method:
            target = WebhookTarget(url, target.method)
        else:
            target, attempt = WebhookTarget(url, HttpMethod.GET), attempt.without_parameters()
    return FetchFailure(11215, f"more than {_MOST_REDIRECTS} redirects", target.url)
