"""Writes what leaves by REST: late answers as they were composed, failed ones from another sender."""

from __future__ import annotations

import logging
from dataclasses import replace

from sms_router.delivery.entry import MessagePart, OutboxEntry
from sms_router.delivery.message import Cancelled, OutboundSms, Rejected, Result, SendLease, Sent, Unknown
from sms_router.privacy import mask_number
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.contacts.receipt_analysis import ReceiptAnalyzer
from sms_router.routing.handler.reply import Reply
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.late_replies import LateReplies
from sms_router.senders.error_table import ErrorClass
from sms_router.senders.models import RecipientFacts
from sms_router.twilio.inbound import InboundMessage, parse_stored_request
from sms_router.twilio.twiml import OutboundMessage, parse_own

log = logging.getLogger("sms_router.outgoing")

_OPTED_OUT = Cancelled("the person has opted out", dead_letter=False)


class ReplyOutboxHandler:
    """Decides for the courier (`delivery.courier.Clerk`)."""

    def __init__(
        self,
        people: Contacts,
        lessons: ReceiptAnalyzer,
        composer: Composer,
        later: LateReplies,
        reroute: bool,
    ) -> None:
        """``reroute`` is False where what Twilio refuses for its sender shall not be tried from another."""
        self._people = people
        self._lessons = lessons
        self._composer = composer
        self._later = later
        self._reroute = reroute

    async def resume(self, entry: OutboxEntry) -> None:
        """Answer a message whose worker was lost."""
        await self._later.resume(entry)

    async def build_message(
        self, entry: OutboxEntry, piece: MessagePart, marked: SendLease
    ) -> OutboundSms | Cancelled:
        """Write one message; its sender is chosen anew where the first one has failed.

        Raises:
            StoreUnavailableError: when it cannot be known whether the person may get it.

        """
        message = parse_stored_request(marked.request)
        messages = parse_own(marked.document)
        if message is None or piece.number >= len(messages):
            return Cancelled("what it answers is no longer kept", dead_letter=True)
        part = messages[piece.number]
        facts = await self._facts(entry, marked, message, part.recipient or message.sender)
        if facts.opted_out:
            return _OPTED_OUT
        if not piece.resend:
            return self._letter(message, part, part.sender or message.recipient, piece)
        failed = str(marked.state.get("failed") or "")
        return self._repeated(piece, message, part, replace(facts, unreachable=facts.unreachable | {failed}))

    async def _facts(
        self, entry: OutboxEntry, marked: SendLease, message: InboundMessage, person: str
    ) -> RecipientFacts:
        """Return what is known of the recipient, who is not always the person that the mark has asked for.

        A part may go to somebody else, and a receipt need not have named the Service.
        """
        scope = self._people.scope_of(message.service_sid, message.recipient)
        if (scope, person) == (entry.scope, entry.person):
            return self._people.facts(scope, person, marked.known, stored=True)
        return await self._people.facts_now(scope, person)

    def _repeated(
        self, piece: MessagePart, message: InboundMessage, part: OutboundMessage, facts: RecipientFacts
    ) -> OutboundSms | Cancelled:
        decision = self._composer.choose(message, Reply(part.body, part.media), facts)
        if decision.address is None or decision.address in facts.unreachable:
            return Cancelled("no other number can carry it", dead_letter=True)
        self._composer.count(decision, (part.body,), pictures=bool(part.media))
        return self._letter(message, part, decision.address, piece, decision.trail_text)

    def _letter(
        self, message: InboundMessage, part: OutboundMessage, sender: str, piece: MessagePart, trail: str = ""
    ) -> OutboundSms:
        return OutboundSms(
            account_sid=message.account_sid,
            service_sid=self._composer.service_of(message, sender),
            sender=sender,
            person=part.recipient or message.sender,
            text=part.body,
            media=part.media,
            status_url=self._composer.status_url(f"{message.sid}.{piece.name}"),
            trail=trail,
        )

    async def on_result(
        self, entry: OutboxEntry, piece: MessagePart, letter: OutboundSms, result: Result
    ) -> bool:
        """Take note of Twilio's answer; True asks for another attempt from another sender."""
        name = f"{piece.name} of {entry.message_sid} to {mask_number(entry.person)}"
        match result:
            case Sent(sid):
                log.info("%s left from %s as %s", name, letter.sender, sid)
            case Unknown(sentence):
                log.error("%s may have left from %s: %s", name, letter.sender, sentence)
            case Rejected(code, sentence):
                log.error("%s was refused from %s: %s", name, letter.sender, sentence)
                return await self._learn(entry, piece, letter, code)
        return False

    async def _learn(
        self, entry: OutboxEntry, piece: MessagePart, letter: OutboundSms, code: int | None
    ) -> bool:
        meaning = self._people.table.find(code)
        if meaning is None:
            return False
        if meaning.error_class is ErrorClass.OPT_OUT:
            own = entry.reference if letter.person == entry.person else None
            await self._people.opt_out(entry.scope, letter.person, str(code), own)
        blamed = self._lessons.blames_sender(meaning, letter.sender, letter.service_sid, letter.person)
        return self._reroute and not piece.resend and blamed
