"""One inbound message from the webhook to the last verb of its TwiML (facts 3, 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from sms_router.sandbox.inbound.webhook_parameters import InboundWebhook, IncomingText, build_webhook
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.sending.callbacks import is_valid_status_callback, status_parameters
from sms_router.sandbox.sending.outbound import AcceptedMessage, MessageDraft
from sms_router.sandbox.state.messages import Direction
from sms_router.sandbox.state.phones import ReceivedMessage
from sms_router.sandbox.webhooks.page import (
    FetchFailure,
    WebhookPage,
    WebhookTarget,
    read_page,
    resolve_url,
)
from sms_router.sandbox.webhooks.twiml import MessageVerb, RedirectVerb, Verb
from sms_router.sandbox.world.errors import ApiRejection
from sms_router.sandbox.world.fault import WebhookKind
from sms_router.sandbox.world.numbers import HttpMethod, is_alphanumeric, is_e164, is_short_code

MAX_DOCUMENTS = 10
"""How often ``<Redirect>`` and ``action`` may lead to another document (INFERENCE; 14106)."""

MAX_REPLIES = 10

_ALERT_CODES = {21617: 14103, 21602: 14103, 21606: 14108, 21659: 14108}
"""The debugger's code of a reply that REST would reject with another code."""


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

    def __init__(self, platform: Platform, inbound: InboundWebhook) -> None:
        self.exchanges: list[WebhookExchange] = []
        self.sent: list[AcceptedMessage] = []
        """The replies that Twilio accepted."""
        self._platform = platform
        self._inbound = inbound
        self._attempts = 0
        self._cookies = platform.cookies.jar(inbound.message.recipient, inbound.message.sender or "")

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
        self._warn(14106, f"more than {MAX_DOCUMENTS} documents for one message", document.target.url)
        return None

    async def _fetch_verbs(self, document: _Document) -> tuple[Verb, ...] | FetchFailure:
        target, result = document.target, await self._fetch(document)
        verbs: tuple[Verb, ...] | FetchFailure = ()
        if isinstance(result, FetchFailure):
            verbs = result
        elif result.body or not document.may_be_empty:
            verbs = read_page(result)
        code, reason = (verbs.code, verbs.reason) if isinstance(verbs, FetchFailure) else (None, "")
        if code is not None:
            self._warn(code, reason, target.url)
        self.exchanges.append(WebhookExchange(target.url, target.method, result.status, code, reason))
        return verbs

    async def _fetch(self, document: _Document) -> WebhookPage | FetchFailure:
        """Fetch a document once, or as a fault requires; of two deliveries the later response counts."""
        target, parameters, cookies = document.target, document.parameters, self._cookies
        client = self._platform.client
        fault = self._platform.faults.webhooks.consume()
        if fault is None:
            return await client.fetch(target, parameters, cookies)
        if fault.kind is WebhookKind.TWICE:
            lost, result = await client.fetch_twice(target, parameters, cookies)
        else:
            lost = await client.fetch(target, parameters, cookies)
            result = FetchFailure(11200, "the response was lost, as a fault requires", target.url)
        reason = "this response was lost, as a fault requires"
        self.exchanges.append(WebhookExchange(target.url, target.method, lost.status, None, reason))
        return result

    def _perform(self, verbs: tuple[Verb, ...], document: _Document) -> _Document | None:
        """Execute verbs from top to bottom, until one of them leads to another document."""
        page_url = document.target.url
        for verb in verbs:
            if isinstance(verb, RedirectVerb):
                return _Document(self._target(verb.url, verb, page_url), document.parameters)
            if isinstance(verb, MessageVerb):
                accepted = self._reply(verb, page_url)
                if accepted and verb.action:  # the verbs after it are not executed (facts 4)
                    parameters = status_parameters(self._platform.account.sid, accepted.message)
                    target = self._target(verb.action, verb, page_url)
                    return _Document(target, parameters, may_be_empty=True)
            else:
                self._warn(verb.code, verb.text, page_url)
        return None

    def _target(self, url: str, verb: MessageVerb | RedirectVerb, page_url: str) -> WebhookTarget:
        """Return where a verb leads; its method is POST unless it is GET."""
        if verb.method not in (None, "POST", "GET"):
            self._warn(14104, f"method {verb.method!r} is neither GET nor POST", page_url)
        method = HttpMethod.GET if verb.method == "GET" else HttpMethod.POST
        return WebhookTarget(resolve_url(page_url, url), method)

    def _reply(self, verb: MessageVerb, page_url: str) -> AcceptedMessage | None:
        """Send one reply; None, and an alert, when Twilio rejects it."""
        self._attempts += 1
        if self._attempts > MAX_REPLIES:
            self._warn(14109, f"more than {MAX_REPLIES} replies to one message", page_url)
            return None
        draft = self._draft(verb, page_url)
        if draft is None:
            return None
        if not self._platform.reply_limiter.allow(draft.sender or "", draft.recipient):
            self._warn(14107, f"too many replies from {draft.sender} to {draft.recipient}", page_url)
            return None
        accepted = self._platform.outbound.send(draft, Direction.REPLY, self._status_callback(verb, page_url))
        if isinstance(accepted, ApiRejection):
            self._warn(_ALERT_CODES.get(accepted.code, accepted.code), accepted.message, page_url)
            return None
        self.sent.append(accepted)
        return accepted

    def _warn(self, code: int, text: str, page_url: str) -> None:
        """Add an alert about the inbound message."""
        self._platform.alerts.add(code, text, resource_sid=self._inbound.message.sid, request_url=page_url)

    def _draft(self, verb: MessageVerb, page_url: str) -> MessageDraft | None:
        """Apply the defaults: to the person, from the number that was texted."""
        recipient = verb.to or self._inbound.message.sender or ""
        sender = verb.sender or self._inbound.message.recipient
        if not verb.to and (code := self._code_of_machine(recipient)) is not None:
            self._warn(code, f"a reply to {recipient}, which is no person's number", page_url)
            return None
        if not is_e164(recipient):
            self._warn(14101, f"{recipient!r} in <Message to> is not a phone number", page_url)
            return None
        if self._platform.account.number_at(sender) is None and not is_alphanumeric(sender):
            self._warn(
                14108, f"{sender!r} in <Message from> is no SMS-capable number of the account", page_url
            )
            return None
        return MessageDraft(recipient, sender, None, verb.body, verb.media)

    def _code_of_machine(self, recipient: str) -> int | None:
        """Return the debugger's code of a reply to a sender that is no person's number (facts 11)."""
        if self._platform.account.number_at(recipient) is not None:
            return 14107
        return 21265 if is_short_code(recipient) else None if is_e164(recipient) else 21211

    def _status_callback(self, verb: MessageVerb, page_url: str) -> str:
        if not verb.status_callback:
            return ""
        url = resolve_url(page_url, verb.status_callback)
        if not is_valid_status_callback(url):
            self._warn(14105, f"statusCallback {verb.status_callback!r} cannot be called back", page_url)
            return ""
        return url


@dataclass(frozen=True, slots=True)
class TextResult:
    """What followed from a text."""

    inbound: InboundWebhook
    outcome: SessionOutcome
    exchanges: tuple[WebhookExchange, ...]
    sent: tuple[AcceptedMessage, ...]
    """The messages that Twilio accepted, including its own."""
    network_replies: tuple[ReceivedMessage, ...]
    """Shown on the phone by the toll-free network; they are no messages of Twilio's."""
    twilio_replies: tuple[AcceptedMessage, ...] = ()
    """Those of ``sent`` that reply to an opt-out keyword without the application."""

    @property
    def sids(self) -> set[str]:
        """The messages that the phone may show because of the text."""
        return {accepted.message.sid for accepted in self.sent} | {
            message.sid for message in self.network_replies
        }


async def receive_text(platform: Platform, text: IncomingText) -> TextResult:
    """Handle opt-out keywords, call the application's webhook and send its replies."""
    number, person = text.number.address, text.sender
    response = platform.opt_outs.handle(text.number, person, text.body)
    network_replies: tuple[ReceivedMessage, ...] = ()
    if response.network_reply:
        sid = platform.identifiers.sid("NW")
        message = ReceivedMessage(sid, number, response.network_reply, (), platform.clock.now())
        platform.inboxes.add_received(person, message)
        network_replies = (message,)
    own: tuple[AcceptedMessage, ...] = ()
    if response.reply:
        own = (platform.outbound.send_for_twilio(number, person, response.reply),)
    inbound = build_webhook(
        text, platform.account, platform.identifiers, platform.clock.now(), response.opt_out_type
    )
    if not inbound.dropped:
        platform.messages.put(inbound.message)
    session = InboundSession(platform, inbound)
    outcome = await session.run()
    sent = (*own, *session.sent)
    return TextResult(inbound, outcome, tuple(session.exchanges), sent, network_replies, own)
