"""The TwiML session of one text with an upstream: its documents up to the last redirect (facts 3, 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import NAMESPACE_URL, uuid5

from sms_router.routing.upstream.cookies import CookieJar
from sms_router.routing.upstream.endpoint import EndpointPool
from sms_router.routing.upstream.forward_rule import Forward, Target
from sms_router.routing.upstream.models import (
    Fetch,
    Headers,
    UpstreamFailure,
    UpstreamRequest,
    UpstreamResponse,
)
from sms_router.routing.upstream.recipients import refuse_message
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.twiml_parser import Document, Redirect, SendMessage, TwimlError, parse_response
from sms_router.twilio.webhook_url import Method, WebhookUrl

MAX_DOCUMENTS = 10
"""Documents per session, linked by ``<Redirect>`` (14106; Twilio does not document how many it allows)."""

MAX_MESSAGES = 10
"""Replies per inbound message; Twilio discards further ones (facts 3, 14109)."""

IDEMPOTENCY_HEADER = "I-Twilio-Idempotency-Token"

_FORWARDED_HEADERS = {b"user-agent": "User-Agent", b"x-home-region": "X-Home-Region"}
_DEFAULT_HEADERS = {"User-Agent": "TwilioProxy/1.1", "X-Home-Region": "us1"}


@dataclass(slots=True)
class TwimlSession:
    """One text and the upstream to which it is forwarded.

    As with Twilio, the messages of documents before a failed redirect are sent.
    """

    fetch: Fetch
    endpoints: EndpointPool
    forward: Forward
    message: InboundMessage
    auth_token: str
    cookies: CookieJar
    headers: Headers = ()
    """Those of Twilio's request."""
    messages: list[tuple[SendMessage, WebhookUrl]] = field(default_factory=list)
    """The messages so far, each with the URL of its document."""
    warnings: list[str] = field(default_factory=list)
    ignored_verbs: list[str] = field(default_factory=list)

    async def run(
        self, target: Target, deadline: float, error: Mapping[str, str] | None = None
    ) -> UpstreamFailure | None:
        """Fetch a document and those to which it redirects.

        Args:
            target: the first document.
            deadline: of the monotonic clock, in seconds.
            error: the parameters that a fallback gets in addition, ``ErrorCode`` and ``ErrorUrl``.

        Returns:
            Why a document could not be fetched, or why nothing in it can be sent although it has verbs;
            None when all were executed.

        """
        # Twilio's parameters in the order in which they were received.
        parameters = {**dict(reversed([*self.message.parameters.items()])), **(error or {})}
        for number in range(MAX_DOCUMENTS):
            step = f"{'fallback' if error else 'primary'} {number}"
            result = await self._fetch_document(target, parameters, step, deadline)
            if isinstance(result, UpstreamFailure):
                return result
            document, url = result
            self.messages += [(message, url) for message in document.messages]
            self.warnings += [f"{url}: {warning}" for warning in document.warnings]
            self.ignored_verbs += document.ignored_verbs
            if document.redirect is None:
                return self._refuse_unusable_verbs(url)
            if isinstance(following := self._next_target(document.redirect, url), UpstreamFailure):
                return following
            target = following
        return UpstreamFailure(14106, f"more than {MAX_DOCUMENTS} documents", target.url)

    def _refuse_unusable_verbs(self, page: WebhookUrl) -> UpstreamFailure | None:
        """Return a failure if the documents have verbs, but none that can be executed."""
        reasons = [refuse_message(message, url, self.message) for message, url in self.messages]
        if None in reasons or not (reasons or self.ignored_verbs):
            return None
        if reasons:
            failure = UpstreamFailure(14103, f"no <Message> can be sent: {reasons[0]}", page)
        else:
            tags = ", ".join(f"<{tag}>" for tag in dict.fromkeys(self.ignored_verbs[:5]))
            failure = UpstreamFailure(12200, f"no verb is one of messaging: {tags}", page)
        self.messages.clear()
        self.ignored_verbs.clear()
        return failure

    async def _fetch_document(
        self, target: Target, parameters: Mapping[str, str], step: str, deadline: float
    ) -> tuple[Document, WebhookUrl] | UpstreamFailure:
        request = UpstreamRequest(
            tuple(parameters.items()),
            self._request_headers(step),
            self.auth_token,
            self.cookies,
            self.forward.allows,
            self.forward.public_only,
        )
        endpoint = self.endpoints.get(target.url.origin, fallback=step.startswith("fallback"))
        response = await endpoint.call(target.url, deadline, lambda: self.fetch(target, request, deadline))
        if not isinstance(response, UpstreamResponse):
            return response
        document = parse_response(response.page)
        if isinstance(document, TwimlError):
            return UpstreamFailure(document.code, document.reason, response.url)
        return document, response.url

    def _next_target(self, redirect: Redirect, page: WebhookUrl) -> Target | UpstreamFailure:
        try:
            url = page.join(redirect.address)
        except ValueError as error:
            return UpstreamFailure(11100, f"<Redirect> contains a URL that {error}", page)
        if not self.forward.allows(url):
            remedy = f"to allow it, add {url.host} to redirect_hosts"
            return UpstreamFailure(11100, f"<Redirect> leads to another host; {remedy}", page)
        return Target(url, Method(redirect.method))

    def _request_headers(self, step: str) -> Mapping[str, str]:
        """Return the headers of Twilio's own request; each further request gets its own token."""
        headers = dict(_DEFAULT_HEADERS)
        token = str(uuid5(NAMESPACE_URL, f"{self.message.account_sid}/{self.message.sid} {step}"))
        for name, value in self.headers:
            if name in _FORWARDED_HEADERS:
                headers[_FORWARDED_HEADERS[name]] = value.decode("latin-1")
            elif name == b"i-twilio-idempotency-token" and step == "primary 0":
                token = value.decode("latin-1")
        return {**headers, IDEMPOTENCY_HEADER: token}
