"""One inbound message from the webhook to the last verb of its TwiML (facts 3, 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from aiohttp import CookieJar

from sms_router.sandbox.inbound.replies import ReplySender
from sms_router.sandbox.inbound.webhook_parameters import InboundWebhook
from sms_router.sandbox.sending.callbacks import status_parameters
from sms_router.sandbox.state.faults import Faults
from sms_router.sandbox.webhooks.client import WebhookClient
from sms_router.sandbox.webhooks.page import (
    FetchFailure,
    WebhookPage,
    WebhookTarget,
    read_page,
    resolve_url,
)
from sms_router.sandbox.webhooks.twiml import MessageVerb, RedirectVerb, Verb
from sms_router.sandbox.world.fault import WebhookKind
from sms_router.sandbox.world.numbers import HttpMethod

MAX_DOCUMENTS = 10
"""How often ``<Redirect>`` and ``action`` may lead to another document (INFERENCE; 14106)."""


class SessionOutcome(Enum):
    """How the calls to the customer's application ended."""

    ANSWERED = "answered"
    FALLBACK = "answered by the fallback"
    FAILED = "failed"
    NOT_CALLED = "not called: the number has no URL"
    DROPPED = "dropped: the Service has no inbound URL"


@dataclass(frozen=True, slots=True)
class WebhookExchange:
    """One request to the customer's application; ``error_code`` is None when it succeeded."""

    url: str
    method: HttpMethod
    status: int | None
    error_code: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Document:
    """A document to fetch; that of an ``action`` may be empty."""

    target: WebhookTarget
    parameters: Mapping[str, str]
    may_be_empty: bool = False


class InboundSession:
    """Fetches the application's TwiML for one inbound message, and executes it."""

    def __init__(
        self,
        *,
        inbound: InboundWebhook,
        account_sid: str,
        client: WebhookClient,
        faults: Faults,
        cookies: CookieJar,
        replies: ReplySender,
    ) -> None:
        self.exchanges: list[WebhookExchange] = []
        self._inbound = inbound
        self._account_sid = account_sid
        self._client = client
        self._faults = faults
        self._cookies = cookies
        self._replies = replies

    async def run(self) -> SessionOutcome:
        """Execute the TwiML of the primary URL, and that of the fallback URL when the primary failed."""
        inbound = self._inbound
        if inbound.primary is None:
            return SessionOutcome.DROPPED if inbound.dropped else SessionOutcome.NOT_CALLED
        failure = await self._execute(_Document(inbound.primary, inbound.parameters))
        if failure is None:
            return SessionOutcome.ANSWERED
        if inbound.fallback is None:
            return SessionOutcome.FAILED
        error = {"ErrorCode": str(failure.code), "ErrorUrl": failure.url}
        failure = await self._execute(_Document(inbound.fallback, {**inbound.parameters, **error}))
        return SessionOutcome.FAILED if failure else SessionOutcome.FALLBACK

    async def _execute(self, document: _Document) -> FetchFailure | None:
        """Execute a document and those that it leads to; return why one of them could not be fetched."""
        for _ in range(MAX_DOCUMENTS):
            verbs = await self._fetch_verbs(document)
            if isinstance(verbs, FetchFailure):
                return verbs
            following = self._perform(verbs, document)
            if following is None:
                return None
            document = following
        self._replies.warn(14106, f"more than {MAX_DOCUMENTS} documents for one message", document.target.url)
        return None

    async def _fetch_verbs(self, document: _Document) -> tuple[Verb, ...] | FetchFailure:
        target, result = document.target, await self._fetch(document)
        if isinstance(result, FetchFailure):
            verbs: tuple[Verb, ...] | FetchFailure = result
        elif document.may_be_empty and not result.body:
            verbs = ()
        else:
            verbs = read_page(result)
        if isinstance(verbs, FetchFailure):
            self._replies.warn(verbs.code, verbs.reason, target.url)
            exchange = WebhookExchange(target.url, target.method, result.status, verbs.code, verbs.reason)
        else:
            exchange = WebhookExchange(target.url, target.method, result.status)
        self.exchanges.append(exchange)
        return verbs

    async def _fetch(self, document: _Document) -> WebhookPage | FetchFailure:
        """Fetch a document once, or as a fault requires; of two deliveries the later response counts."""
        target, parameters, cookies = document.target, document.parameters, self._cookies
        fault = self._faults.webhooks.consume()
        if fault is None:
            return await self._client.fetch(target, parameters, cookies)
        if fault.kind is WebhookKind.TWICE:
            lost, result = await self._client.fetch_twice(target, parameters, cookies)
        else:
            lost = await self._client.fetch(target, parameters, cookies)
            result = FetchFailure(11200, "the response was lost, as a fault requires", target.url)
        reason = "this response was lost, as a fault requires"
        self.exchanges.append(WebhookExchange(target.url, target.method, lost.status, None, reason))
        return result

    def _perform(self, verbs: tuple[Verb, ...], document: _Document) -> _Document | None:
        """Execute verbs from top to bottom, until one of them leads to another document."""
        page_url = document.target.url
        for verb in verbs:
            if isinstance(verb, RedirectVerb):
                method = self._replies.method(verb.method, page_url)
                return _Document(WebhookTarget(resolve_url(page_url, verb.url), method), document.parameters)
            if isinstance(verb, MessageVerb):
                following = self._reply(verb, page_url)
                if following:
                    return following
            else:
                self._replies.warn(verb.code, verb.text, page_url)
        return None

    def _reply(self, verb: MessageVerb, page_url: str) -> _Document | None:
        """Send a reply; with an ``action`` the verbs after it are not executed (facts 4)."""
        accepted = self._replies.send(verb, page_url)
        if accepted is None or not verb.action:
            return None
        method = self._replies.method(verb.method, page_url)
        target = WebhookTarget(resolve_url(page_url, verb.action), method)
        return _Document(target, status_parameters(self._account_sid, accepted.message), may_be_empty=True)
