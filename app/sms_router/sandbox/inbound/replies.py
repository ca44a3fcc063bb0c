"""``<Message>``: the replies to one inbound message, with Twilio's defaults and limits (facts 4)."""

from __future__ import annotations

from sms_router.sandbox.platform import Platform
from sms_router.sandbox.sending.callbacks import is_valid_status_callback
from sms_router.sandbox.sending.outbound import AcceptedMessage
from sms_router.sandbox.sending.validation import MessageDraft
from sms_router.sandbox.state.messages import Direction, Message
from sms_router.sandbox.webhooks.page import resolve_url
from sms_router.sandbox.webhooks.twiml import MessageVerb
from sms_router.sandbox.world.errors import ApiRejection
from sms_router.sandbox.world.numbers import HttpMethod, is_alphanumeric, is_e164, is_short_code

MAX_REPLIES = 10

_ALERT_CODES = {21617: 14103, 21602: 14103, 21606: 14108, 21659: 14108}
"""The debugger's code of a reply that REST would reject with another code."""


class ReplySender:
    """Sends the replies to one message; ``sent`` holds those that Twilio accepted."""

    def __init__(self, platform: Platform, inbound: Message) -> None:
        self.sent: list[AcceptedMessage] = []
        self._platform = platform
        self._inbound = inbound
        self._attempts = 0

    def send(self, verb: MessageVerb, page_url: str) -> AcceptedMessage | None:
        """Send one reply; None, and an alert, when Twilio rejects it."""
        self._attempts += 1
        if self._attempts > MAX_REPLIES:
            self.warn(14109, f"more than {MAX_REPLIES} replies to one message", page_url)
            return None
        draft = self._draft(verb, page_url)
        if draft is None:
            return None
        if not self._platform.reply_limiter.allow(draft.sender or "", draft.recipient):
            self.warn(14107, f"too many replies from {draft.sender} to {draft.recipient}", page_url)
            return None
        accepted = self._platform.outbound.send(draft, Direction.REPLY, self._status_callback(verb, page_url))
        if isinstance(accepted, ApiRejection):
            self.warn(_ALERT_CODES.get(accepted.code, accepted.code), accepted.message, page_url)
            return None
        self.sent.append(accepted)
        return accepted

    def method(self, name: str | None, page_url: str) -> HttpMethod:
        """Return the method of a verb: POST unless it is GET."""
        if name in (None, "POST", "GET"):
            return HttpMethod(name or "POST")
        self.warn(14104, f"method {name!r} is neither GET nor POST", page_url)
        return HttpMethod.POST

    def warn(self, code: int, text: str, page_url: str) -> None:
        """Add an alert about the inbound message."""
        self._platform.alerts.add(code, text, resource_sid=self._inbound.sid, request_url=page_url)

    def _draft(self, verb: MessageVerb, page_url: str) -> MessageDraft | None:
        """Apply the defaults: to the person, from the number that was texted."""
        recipient = verb.to or self._inbound.sender or ""
        sender = verb.sender or self._inbound.recipient
        if not verb.to and (code := self._code_of_machine(recipient)) is not None:
            self.warn(code, f"a reply to {recipient}, which is no person's number", page_url)
            return None
        if not is_e164(recipient):
            self.warn(14101, f"{recipient!r} in <Message to> is not a phone number", page_url)
            return None
        if self._platform.account.number_at(sender) is None and not is_alphanumeric(sender):
            self.warn(
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
            self.warn(14105, f"statusCallback {verb.status_callback!r} cannot be called back", page_url)
            return ""
        return url
