"""One inbound message from the webhook to the last verb of its TwiML (facts 3, 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from aiohttp import CookieJar

from sms_router.sandbox.inbound.replies import Replies
from sms_router.sandbox.inbound.webhook_parameters import Inbound
from sms_router.sandbox.sending.callbacks import status_parameters
from sms_router.sandbox.state.faults import Faults
from sms_router.sandbox.webhooks.client import WebhookClient
from sms_router.sandbox.webhooks.page import FetchFailure, WebhookPage, WebhookTarget, linked
from sms_router.sandbox.webhooks.pages import read_page
from sms_router.sandbox.webhooks.twiml import MessageVerb, RedirectVerb, Verb
from sms_router.sandbox.world.fault import WebhookKind
from sms_router.sandbox.world.numbers import HttpMethod

MOST_DOCUMENTS = 10
"""How often ``<Redirect>`` and ``action`` may lead to another document (INFERENCE; 14106)."""


class SessionOutcome(Enum):
    """How the question to the customer's application ended."""

    ANSWERED = "answered"
    FALLBACK = "answered by the fallback"
    FAILED = "failed"
    NOT_CALLED = "not called: the number has no URL"
    DROPPED = "dropped: the Service has no inbound URL"


@dataclass(frozen=True, slots=True)
class WebhookExchange:
    """One request to the customer's application; ``error_code`` is None when it went well."""

    url: str
    method: HttpMethod
    status: int | None
    error_code: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Asking:
    """How the application is asked: the client, what is made to go wrong, and the pair's cookies."""

    client: WebhookClient
    faults: Faults
    cookies: CookieJar


@dataclass(frozen=True, slots=True)
class _Step:
    """A document that is to be fetched next; an ``action`` may answer with nothing."""

    target: WebhookTarget
    parameters: Mapping[str, str]
    may_be_empty: bool = False


class InboundSession:
    """Asks the application what to do about one inbound message, and does it."""

    def __init__(self, inbound: Inbound, account_sid: str, asking: Asking, replies: Replies) -> None:
        """Ask as ``asking`` says, answer through ``replies``."""
        self.exchanges: list[WebhookExchange] = []
        self._inbound = inbound
        self._account_sid = account_sid
        self._asking = asking
        self._replies = replies

    async def run(self) -> SessionOutcome:
        """Play the primary URL, and the fallback when that one failed."""
        inbound = self._inbound
        if inbound.primary is None:
            return SessionOutcome.DROPPED if inbound.dropped else SessionOutcome.NOT_CALLED
        failure = await self._play(_Step(inbound.primary, inbound.parameters))
        if failure is None:
            return SessionOutcome.ANSWERED
        if inbound.fallback is None:
            return SessionOutcome.FAILED
        error = {"ErrorCode": str(failure.code), "ErrorUrl": failure.url}
        failure = await self._play(_Step(inbound.fallback, {**inbound.parameters, **error}))
        return SessionOutcome.FAILED if failure else SessionOutcome.FALLBACK

    async def _play(self, step: _Step) -> FetchFailure | None:
        """Execute a document and those it leads to; return why one of them could not be had."""
        for _ in range(MOST_DOCUMENTS):
            verbs = await self._document(step)
            if isinstance(verbs, FetchFailure):
                return verbs
            following = self._perform(verbs, step)
            if following is None:
                return None
            step = following
        self._replies.warn(14106, f"more than {MOST_DOCUMENTS} documents for one message", step.target.url)
        return None

    async def _document(self, step: _Step) -> tuple[Verb, ...] | FetchFailure:
        answer = await self._fetched(step)
        if isinstance(answer, FetchFailure):
            verbs: tuple[Verb, ...] | FetchFailure = answer
        elif step.may_be_empty and not answer.body:
            verbs = ()
        else:
            verbs = read_page(answer)
        self._record(step, answer.status, verbs)
        return verbs

    async def _fetched(self, step: _Step) -> WebhookPage | FetchFailure:
        """Ask once, or as a fault wants it; of two deliveries the later answer counts."""
        client, cookies = self._asking.client, self._asking.cookies
        fault = self._asking.faults.webhooks.consume()
        if fault is None:
            return await client.fetch(step.target, step.parameters, cookies)
        if fault.kind is WebhookKind.TWICE:
            lost, answer = await client.fetch_twice(step.target, step.parameters, cookies)
        else:
            lost = await client.fetch(step.target, step.parameters, cookies)
            answer = FetchFailure(11200, "the answer was lost on its way, as asked for", step.target.url)
        reason = "this answer was lost on its way, as asked for"
        self.exchanges.append(WebhookExchange(step.target.url, step.target.method, lost.status, None, reason))
        return answer

    def _record(self, step: _Step, status: int | None, verbs: tuple[Verb, ...] | FetchFailure) -> None:
        target = step.target
        if isinstance(verbs, FetchFailure):
            self._replies.warn(verbs.code, verbs.reason, target.url)
            exchange = WebhookExchange(target.url, target.method, status, verbs.code, verbs.reason)
        else:
            exchange = WebhookExchange(target.url, target.method, status)
        self.exchanges.append(exchange)

    def _perform(self, verbs: tuple[Verb, ...], step: _Step) -> _Step | None:
        """Execute verbs from top to bottom, until one of them leads to another document."""
        page_url = step.target.url
        for verb in verbs:
            if isinstance(verb, RedirectVerb):
                target = WebhookTarget(
                    linked(page_url, verb.url), self._replies.method(verb.method, page_url)
                )
                return _Step(target, step.parameters)
            if isinstance(verb, MessageVerb):
                following = self._reply(verb, page_url)
                if following:
                    return following
            else:
                self._replies.warn(verb.code, verb.text, page_url)
        return None

    def _reply(self, verb: MessageVerb, page_url: str) -> _Step | None:
        """Send an answer; its ``action`` takes over control, and what follows it is unreachable (facts 4)."""
        accepted = self._replies.send(verb, page_url)
        if accepted is None or not verb.action:
            return None
        target = WebhookTarget(linked(page_url, verb.action), self._replies.method(verb.method, page_url))
        return _Step(target, status_parameters(self._account_sid, accepted.message), may_be_empty=True)
