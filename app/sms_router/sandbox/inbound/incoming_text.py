"""A person texts one of the account's numbers: everything up to the last verb of the application's TwiML."""

from __future__ import annotations

from dataclasses import dataclass

from sms_router.sandbox.inbound.replies import ReplySender
from sms_router.sandbox.inbound.session import InboundSession, SessionOutcome, WebhookExchange
from sms_router.sandbox.inbound.webhook_parameters import InboundWebhook, IncomingText, build_webhook
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.sending.outbound import AcceptedMessage
from sms_router.sandbox.state.phones import ReceivedMessage


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
    replies = ReplySender(
        inbound.message, platform.account, platform.alerts, platform.outbound, platform.reply_limiter
    )
    session = InboundSession(
        inbound=inbound,
        account_sid=platform.account.sid,
        client=platform.client,
        faults=platform.faults,
        cookies=platform.cookies.jar(number, person),
        replies=replies,
    )
    outcome = await session.run()
    return TextResult(inbound, outcome, tuple(session.exchanges), (*own, *replies.sent), network_replies, own)
