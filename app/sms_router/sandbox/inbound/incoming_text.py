"""A person texts one of our numbers: everything that follows, up to the last verb of the answer."""

from __future__ import annotations

from dataclasses import dataclass

from sms_router.sandbox.inbound.replies import Replies
from sms_router.sandbox.inbound.session import Asking, InboundSession, SessionOutcome, WebhookExchange
from sms_router.sandbox.inbound.webhook_parameters import Inbound, IncomingText, receive
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.sending.outbound import Accepted
from sms_router.sandbox.state.messages import Received
from sms_router.sandbox.state.opt_outs import Heard


@dataclass(frozen=True, slots=True)
class Texted:
    """What came of a text. ``sent`` are the messages that Twilio took, its own among them.

    ``network`` is what the toll-free network showed the person, which no message of Twilio's is.
    """

    inbound: Inbound
    outcome: SessionOutcome
    exchanges: tuple[WebhookExchange, ...]
    sent: tuple[Accepted, ...]
    network: tuple[Received, ...]

    @property
    def sids(self) -> set[str]:
        """What the phone may show because of it."""
        return {accepted.message.sid for accepted in self.sent} | {shown.sid for shown in self.network}


async def receive_text(here: Platform, typed: IncomingText) -> Texted:
    """Let Twilio hear a text, answer it where it does, and ask the application."""
    heard = here.opt_outs.handle(typed.number, typed.sender, typed.body)
    network = _network_answers(here, typed, heard)
    own = _twilio_answers(here, typed, heard)
    inbound = receive(typed, here.account, here.identifiers, here.clock.now(), heard.opt_out_type)
    if not inbound.dropped:
        here.messages.put(inbound.message)
    replies = Replies(inbound.message, here.account, here.alerts, here.outbound, here.reply_rate)
    cookies = here.cookies.jar(typed.number.address, typed.sender)
    asking = Asking(here.client, here.faults, cookies)
    session = InboundSession(inbound, here.account.sid, asking, replies)
    outcome = await session.run()
    return Texted(inbound, outcome, tuple(session.exchanges), (*own, *replies.sent), network)


def _twilio_answers(here: Platform, typed: IncomingText, heard: Heard) -> tuple[Accepted, ...]:
    if not heard.reply:
        return ()
    return (here.outbound.send_for_twilio(typed.number.address, typed.sender, heard.reply),)


def _network_answers(here: Platform, typed: IncomingText, heard: Heard) -> tuple[Received, ...]:
    if not heard.network_reply:
        return ()
    sid = here.identifiers.sid("NW")
    shown = Received(sid, typed.number.address, heard.network_reply, (), here.clock.now())
    here.handsets.show(typed.sender, shown)
    return (shown,)
