"""``<Message>``: the answers to one inbound message, with Twilio's defaults and limits (facts 4)."""

from __future__ import annotations

from sms_router.sandbox.sending.callbacks import can_be_called_back
from sms_router.sandbox.sending.outbound import Accepted, Outbound
from sms_router.sandbox.sending.validation import Draft
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.state.alerts import Alerts
from sms_router.sandbox.state.messages import Direction, Message
from sms_router.sandbox.state.reply_limiter import ReplyRate
from sms_router.sandbox.webhooks.page import linked
from sms_router.sandbox.webhooks.twiml import MessageVerb
from sms_router.sandbox.world.errors import ApiRejection
from sms_router.sandbox.world.numbers import HttpMethod, is_alphanumeric, is_e164

MOST_REPLIES = 10

_ALERT_CODES = {21617: 14103, 21602: 14103, 21606: 14108, 21659: 14108}
"""What the debugger calls a reply that REST would refuse with another code."""


class Replies:
    """Sends the answers to one message; ``sent`` holds those that Twilio took."""

    def __init__(
        self, inbound: Message, account: Account, alerts: Alerts, outbound: Outbound, rate: ReplyRate
    ) -> None:
        """Answer ``inbound``."""
        self.sent: list[Accepted] = []
        self._inbound = inbound
        self._account = account
        self._alerts = alerts
        self._outbound = outbound
        self._rate = rate
        self._attempts = 0

    def send(self, verb: MessageVerb, page_url: str) -> Accepted | None:
        """Send one answer; None, and an alert, when Twilio would not."""
        self._attempts += 1
        if self._attempts > MOST_REPLIES:
            self.warn(14109, f"more than {MOST_REPLIES} replies to one message", page_url)
            return None
        draft = self._draft(verb, page_url)
        if draft is None:
            return None
        if not self._rate.allows(draft.sender or "", draft.recipient):
            self.warn(14107, f"too many replies from {draft.sender} to {draft.recipient}", page_url)
            return None
        accepted = self._outbound.send(draft, Direction.REPLY, self._status_callback(verb, page_url))
        if isinstance(accepted, ApiRejection):
            self.warn(_ALERT_CODES.get(accepted.code, accepted.code), accepted.message, page_url)
            return None
        self.sent.append(accepted)
        return accepted

    def method(self, name: str | None, page_url: str) -> HttpMethod:
        """Return the method of a verb, POST unless it says GET."""
        if name in (None, "POST", "GET"):
            return HttpMethod(name or "POST")
        self.warn(14104, f"method {name!r} is neither GET nor POST", page_url)
        return HttpMethod.POST

    def warn(self, code: int, text: str, page_url: str) -> None:
        """Write to the debugger, about this inbound message."""
        self._alerts.add(code, text, resource_sid=self._inbound.sid, request_url=page_url)

    def _draft(self, verb: MessageVerb, page_url: str) -> Draft | None:
        """Fill in the defaults: to the person, from the number that was texted."""
        recipient = verb.to or self._inbound.sender or ""
        sender = verb.sender or self._inbound.recipient
        if not is_e164(recipient):
            self.warn(14101, f"{recipient!r} in <Message to> is not a phone number", page_url)
            return None
        if self._account.number_at(sender) is None and not is_alphanumeric(sender):
            self.warn(
                14108, f"{sender!r} in <Message from> is no SMS-capable number of the account", page_url
            )
            return None
        return Draft(recipient, sender, None, verb.body, verb.media)

    def _status_callback(self, verb: MessageVerb, page_url: str) -> str:
        if not verb.status_callback:
            return ""
        url = linked(page_url, verb.status_callback)
        if not can_be_called_back(url):
            self.warn(14105, f"statusCallback {verb.status_callback!r} cannot be called back", page_url)
            return ""
        return url
