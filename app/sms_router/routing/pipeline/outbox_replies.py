"""Writes what leaves by REST: late answers as they were composed, failed ones from another sender."""

from __future__ import annotations

import logging
from dataclasses import replace

from sms_router.delivery.entry import Entry, Piece
from sms_router.delivery.message import Letter, Marked, Refused, Result, Sent, Unknown, Withdrawn
from sms_router.privacy import masked_number
from sms_router.routing.contacts.contacts import People
from sms_router.routing.contacts.receipt_analysis import Lessons
from sms_router.routing.handler.reply import Reply
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.late_replies import Later
from sms_router.senders.error_table import ErrorClass
from sms_router.senders.request import Facts
from sms_router.twilio.inbound import InboundMessage, read_request
from sms_router.twilio.twiml import OutboundMessage, read_own

log = logging.getLogger("sms_router.outgoing")

_OPTED_OUT = Withdrawn("the person has opted out", dead_letter=False)


class Outgoing:
    """Decides for the courier (`delivery.courier.Clerk`)."""

    def __init__(
        self, people: People, lessons: Lessons, composer: Composer, later: Later, reroute: bool
    ) -> None:
        """``reroute`` is False where what Twilio refuses for its sender shall not be tried from another."""
        self._people = people
        self._lessons = lessons
        self._composer = composer
        self._later = later
        self._reroute = reroute

    async def work(self, entry: Entry) -> None:
        """Answer a message whose worker was lost."""
        await self._later.resume(entry)

    async def letter(self, entry: Entry, piece: Piece, marked: Marked) -> Letter | Withdrawn:
        """Write one message; its sender is chosen anew where the first one has failed.

        Raises:
            StoreUnavailableError: when it cannot be known whether the person may get it.

        """
        message = read_request(marked.request)
        messages = read_own(marked.document)
        if message is None or piece.number >= len(messages):
            return Withdrawn("what it answers is no longer kept", dead_letter=True)
        part = messages[piece.number]
        facts = await self._facts(entry, marked, message, part.recipient or message.sender)
        if facts.opted_out:
            return _OPTED_OUT
        if not piece.again:
            return self._letter(message, part, part.sender or message.recipient, piece)
        failed = str(marked.state.get("failed") or "")
        return self._repeated(piece, message, part, replace(facts, unreachable=facts.unreachable | {failed}))

    async def _facts(self, entry: Entry, marked: Marked, message: InboundMessage, person: str) -> Facts:
        """Return what is known of the recipient, who is not always the person that the mark has asked for.

        A part may go to somebody else, and a receipt need not have named the Service.
        """
        scope = self._people.scope_of(message.service_sid, message.recipient)
        if (scope, person) == (entry.scope, entry.person):
            return self._people.facts(scope, person, marked.known, stored=True)
        return await self._people.ask(scope, person)

    def _repeated(
        self, piece: Piece, message: InboundMessage, part: OutboundMessage, facts: Facts
    ) -> Letter | Withdrawn:
        decision = self._composer.choose(message, Reply(part.body, part.media), facts)
        if decision.address is None or decision.address in facts.unreachable:
            return Withdrawn("no other number can carry it", dead_letter=True)
        self._composer.count(decision, (part.body,), pictures=bool(part.media))
        return self._letter(message, part, decision.address, piece, decision.story)

    def _letter(
        self, message: InboundMessage, part: OutboundMessage, sender: str, piece: Piece, trail: str = ""
    ) -> Letter:
        return Letter(
            account_sid=message.account_sid,
            service_sid=self._composer.service_of(message, sender),
            sender=sender,
            person=part.recipient or message.sender,
            text=part.body,
            media=part.media,
            status_url=self._composer.status_url(f"{message.sid}.{piece.name}"),
            trail=trail,
        )

    async def sent(self, entry: Entry, piece: Piece, letter: Letter, result: Result) -> bool:
        """Take note of Twilio's answer; True asks for another attempt from another sender."""
        name = f"{piece.name} of {entry.message_sid} to {masked_number(entry.person)}"
        match result:
            case Sent(sid):
                log.info("%s left from %s as %s", name, letter.sender, sid)
            case Unknown(sentence):
                log.error("%s may have left from %s: %s", name, letter.sender, sentence)
            case Refused(code, sentence):
                log.error("%s was refused from %s: %s", name, letter.sender, sentence)
                return await self._learn(entry, piece, letter, code)
        return False

    async def _learn(self, entry: Entry, piece: Piece, letter: Letter, code: int | None) -> bool:
        meaning = self._people.table.find(code)
        if meaning is None:
            return False
        if meaning.fault is ErrorClass.OPT_OUT:
            own = entry.reference if letter.person == entry.person else None
            await self._people.opt_out(entry.scope, letter.person, str(code), own)
        blamed = self._lessons.blames_sender(meaning, letter.sender, letter.service_sid, letter.person)
        return self._reroute and not piece.again and blamed
