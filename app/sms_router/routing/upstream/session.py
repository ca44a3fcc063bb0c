"""What an upstream answers to one text: its documents, from the first to the last redirect (facts 3, 4)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import NAMESPACE_URL, uuid5

from sms_router.routing.upstream.cookies import CookieJar
from sms_router.routing.upstream.endpoint import EndpointPool
from sms_router.routing.upstream.failure import UpstreamFailure
from sms_router.routing.upstream.forward_rule import Forward, Target
from sms_router.routing.upstream.models import Fetch, Headers, Request, UpstreamResponse
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.twiml_parser import Document, Redirect, SendMessage, TwimlError, parse_response
from sms_router.twilio.webhook_url import Method, WebhookUrl

log = logging.getLogger("sms_router.upstream")

MOST_DOCUMENTS = 10
"""Documents that ``<Redirect>`` may lead to (14106; Twilio does not say how many)."""

MOST_MESSAGES = 10
"""Replies to one inbound message; Twilio leaves out what comes after (facts 3, 14109)."""

TOKEN_HEADER = "I-Twilio-Idempotency-Token"  # noqa: S105 (the name of a header)

_PASSED_ON = {b"user-agent": "User-Agent", b"x-home-region": "X-Home-Region"}
_USUAL = {"User-Agent": "TwilioProxy/1.1", "X-Home-Region": "us1"}


@dataclass(slots=True)
class TwimlSession:
    """One text and the upstream that is asked about it.

    ``found`` are the messages so far: like Twilio, those before a redirect that fails still count.
    """

    fetch: Fetch
    lines: EndpointPool
    forward: Forward
    message: InboundMessage
    token: str
    jar: CookieJar
    headers: Headers = ()
    found: list[tuple[SendMessage, WebhookUrl]] = field(default_factory=list)
    """Each with the page that it stood on."""
    warnings: list[str] = field(default_factory=list)

    async def run(
        self, target: Target, until: float, error: Mapping[str, str] | None = None
    ) -> UpstreamFailure | None:
        """Fetch a document and those that it redirects to; return why one of them could not be had.

        ``error`` is what the request to a fallback says of the failure before (facts 3).
        """
        parameters = {**self._parameters(), **(error or {})}
        for number in range(MOST_DOCUMENTS):
            step = f"{'fallback' if error else 'primary'} {number}"
            answer = await self._document(target, parameters, step, until)
            if isinstance(answer, UpstreamFailure):
                return answer
            document, page = answer
            self.found += [(message, page) for message in document.messages]
            self.warnings += [f"{page}: {warning}" for warning in document.warnings]
            if document.redirect is None:
                return None
            following = self._following(document.redirect, page)
            if isinstance(following, UpstreamFailure):
                return following
            target = following
        return UpstreamFailure(14106, f"more than {MOST_DOCUMENTS} documents", target.url)

    async def _document(
        self, target: Target, parameters: Mapping[str, str], step: str, until: float
    ) -> tuple[Document, WebhookUrl] | UpstreamFailure:
        request = Request(
            tuple(parameters.items()), self._headers(step), self.token, self.jar, self.forward.allows
        )
        line = self.lines.line(target.url.origin, fallback=step.startswith("fallback"))
        answer = await line.call(target.url, until, lambda: self.fetch(target, request, until))
        if not isinstance(answer, UpstreamResponse):
            return answer
        document = parse_response(answer.page)
        if isinstance(document, TwimlError):
            return UpstreamFailure(document.code, document.reason, answer.url)
        return document, answer.url

    def _following(self, redirect: Redirect, page: WebhookUrl) -> Target | UpstreamFailure:
        try:
            url = page.join(redirect.address)
        except ValueError as error:
            return UpstreamFailure(11100, f"<Redirect> names a URL that {error}", page)
        if not self.forward.allows(url):
            remedy = f"to allow it, name {url.host} in redirect_hosts"
            return UpstreamFailure(11100, f"<Redirect> leads to another host; {remedy}", page)
        return Target(url, Method(redirect.method))

    def _parameters(self) -> Mapping[str, str]:
        """Return Twilio's parameters, in the order in which they came."""
        parameters = self.message.parameters
        return {name: parameters[name] for name in reversed(list(parameters))}

    def _headers(self, step: str) -> Mapping[str, str]:
        """Return what Twilio's own request said; every further request gets a token of its own."""
        headers = dict(_USUAL)
        token = str(uuid5(NAMESPACE_URL, f"{self.message.account_sid}/{self.message.sid} {step}"))
        for name, value in self.headers:
            if name in _PASSED_ON:
                headers[_PASSED_ON[name]] = value.decode("latin-1")
            elif name == b"i-twilio-idempotency-token" and step == "primary 0":
                token = value.decode("latin-1")
        return {**headers, TOKEN_HEADER: token}
