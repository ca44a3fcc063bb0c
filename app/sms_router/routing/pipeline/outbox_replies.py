"""Builds the messages that the outbox sends by REST, and decides what follows their results."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from sms_router.delivery.entry import EVENT, TIMER, MessagePart, OutboxEntry
from sms_router.delivery.message import (
    OPTED_OUT,
    Accepted,
    Cancelled,
    OutboundSms,
    PutOff,
    Rejected,
    SendLease,
    SendResult,
    Unknown,
)
from sms_router.privacy import mask_number
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.contacts.receipt_analysis import ReceiptAnalyzer
from sms_router.routing.handler.reply import Reply
from sms_router.routing.opt_outs.evidence import Event, Evidence, How
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.event_runner import EventRunner
from sms_router.routing.pipeline.late_replies import LateReplies
from sms_router.routing.pipeline.outbound_sends import OutboundSends
from sms_router.senders.error_table import ErrorClass
from sms_router.senders.models import Decision, RecipientFacts
from sms_router.twilio.inbound import InboundMessage, parse_stored_request
from sms_router.twilio.phone_numbers import contact_of
from sms_router.twilio.twiml import OutboundMessage, parse_own

log = logging.getLogger("sms_router.outgoing")


@dataclass(frozen=True, slots=True, eq=False)
class ReplyOutboxHandler:
    """What the outbox worker calls for replies (`delivery.outbox_worker`)."""

    contacts: Contacts
    analyzer: ReceiptAnalyzer
    composer: Composer
    late_replies: LateReplies
    outbound_sends: OutboundSends
    events: EventRunner
    reroute: bool
    """Whether a message that Twilio rejects for its sender is sent once more from another one."""

    async def resume(self, entry: OutboxEntry) -> None:
        """Answer a message whose worker was lost, or handle an event."""
        run = self.events.run if entry.name in (EVENT, TIMER) else self.late_replies.resume
        await run(entry)

    async def build_message(
        self, entry: OutboxEntry, part: MessagePart, lease: SendLease
    ) -> OutboundSms | Cancelled | PutOff:
        """Build one message; one that is sent again gets another sender than the one that failed."""
        message = parse_stored_request(lease.request)
        messages = parse_own(lease.document)
        if message is None or part.number >= len(messages):
            return Cancelled("the message that it answers is no longer stored", dead_letter=True)
        outbound = messages[part.number]
        contact = contact_of(outbound.recipient or message.sender)
        facts = await self._facts(entry, lease, message, contact)
        if facts.opted_out:
            await self.on_refused(entry, part, contact, outbound)
            return Cancelled(OPTED_OUT, dead_letter=False)
        if until := self.outbound_sends.quiet_until(message):
            return PutOff(until)
        sender, trail_text = outbound.sender or message.recipient, ""
        if part.resend or message.is_outbound:
            decision = self._choose(part, lease, message, outbound, facts)
            if decision is None or decision.address is None:
                other = "other " if part.resend else ""
                return Cancelled(f"no {other}sender can carry it", dead_letter=True)
            if part.resend or decision.address != sender:
                sender, trail_text = decision.address, decision.trail_text
                self.composer.record_sent(decision, (outbound.body,), has_media=bool(outbound.media))
        if part.number == 0 and not part.resend:
            await self.outbound_sends.begin_conversation(message)
        return OutboundSms(
            account_sid=message.account_sid,
            service_sid=self.composer.service_of(message, sender),
            sender=sender,
            recipient=outbound.recipient or message.sender,
            text=outbound.body,
            media=outbound.media,
            status_url=self.composer.status_url(f"{message.sid}.{part.name}"),
            trail=trail_text,
        )

    def _choose(
        self,
        part: MessagePart,
        lease: SendLease,
        message: InboundMessage,
        outbound: OutboundMessage,
        facts: RecipientFacts,
    ) -> Decision | None:
        """Choose the sender of a message that is sent again, or that was composed when it was scheduled.

        The latter keeps its sender while that can be used. None where only the one that failed is left.
        """
        sender = None if part.resend else outbound.sender
        if part.resend:
            failed = str(lease.state.get("failed_sender") or "")
            facts = replace(facts, unreachable=facts.unreachable | {failed})
        is_name = sender is not None and not sender.lstrip("+").isdigit()
        decision = self.composer.choose(
            message, Reply(outbound.body, outbound.media, sender, one_way=is_name), facts
        )
        return None if decision.address in facts.unreachable else decision

    async def on_refused(
        self,
        entry: OutboxEntry,
        part: MessagePart,
        contact: str | None = None,
        message: OutboundMessage | None = None,
    ) -> None:
        """Keep as evidence that a message was not sent, because the contact has opted out."""
        text, sender = (message.body, message.sender or "") if message is not None else ("", "")
        evidence = Evidence(
            Event.REFUSED,
            "reply by REST",
            OPTED_OUT,
            message=f"{entry.message_sid}.{part.name}",
            sender=sender,
            text=text,
        )
        await self.contacts.record_refusal(entry.scope, contact or entry.contact, evidence)

    async def _facts(
        self, entry: OutboxEntry, lease: SendLease, message: InboundMessage, recipient: str
    ) -> RecipientFacts:
        """Return what is known of the recipient.

        The lease brings the facts of the entry's contact. A part may have another recipient, and not every
        receipt names the Service.
        """
        scope = self.contacts.scope_of(message.service_sid, message.recipient, message.account_sid)
        if (scope, recipient) == (entry.scope, entry.contact):
            facts = self.contacts.facts(scope, recipient, lease.contact_fields, stored=True)
            return await self.contacts.prove(facts, scope, recipient)
        return await self.contacts.facts_now(scope, recipient)

    async def on_result(
        self, entry: OutboxEntry, part: MessagePart, sms: OutboundSms, result: SendResult
    ) -> bool:
        """Log the result of a send; True requests another attempt from another sender."""
        name = f"{part.name} of {entry.message_sid} to {mask_number(entry.contact)}"
        match result:
            case Accepted(sid):
                log.info("%s was sent from %s as %s", name, sms.sender, sid)
            case Unknown(sentence):
                log.error("%s may have been sent from %s: %s", name, sms.sender, sentence)
            case Rejected(code, sentence):
                log.error("%s was rejected, from %s: %s", name, sms.sender, sentence)
                if await self._on_rejected(entry, part, sms, code):
                    return True
                await self.contacts.raise_event(
                    "undelivered", entry.scope, contact_of(sms.recipient), f"{entry.reference} {part.name}",
                    account=sms.account_sid, to=sms.sender, Answers=entry.message_sid, Reason=sentence,
                    ErrorCode=str(code or ""),
                )  # fmt: skip
        return False

    async def _on_rejected(
        self, entry: OutboxEntry, part: MessagePart, sms: OutboundSms, code: int | None
    ) -> bool:
        if (error := self.contacts.table.find(code)) is None:
            return False
        if error.error_class is ErrorClass.OPT_OUT:
            contact = contact_of(sms.recipient)
            reference = entry.reference if contact == entry.contact else None
            evidence = Evidence(Event.STOP, How.STATUS, str(code), sender=sms.sender, text=sms.text)
            await self.contacts.change_consent(entry.scope, contact, evidence, reference)
        blames_sender = self.analyzer.blames_sender(
            error, sms.sender, sms.service_sid, sms.recipient, sms.account_sid
        )
        return self.reroute and not part.resend and blames_sender
