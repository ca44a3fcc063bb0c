"""From a reply to the bytes that Twilio gets: the sender is chosen, the TwiML written, the story kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple
from uuid import uuid4

from sms_router.routing.handler.reply import Part, RedirectedPart, Reply
from sms_router.routing.pipeline.composed import RenderedReply, ReplyCache
from sms_router.routing.pipeline.sticky_senders import StickySenders
from sms_router.senders.availability import Availability
from sms_router.senders.country import area_code_of, country_of
from sms_router.senders.models import (
    NO_FACTS,
    Capability,
    Decision,
    RecipientFacts,
    ReplyFrom,
    SelectionRequest,
)
from sms_router.senders.pool import Pool, PoolFinder
from sms_router.senders.selection import is_still_valid, select
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.twiml import EMPTY, OutboundMessage, render

_SLOT = f"SM{uuid4().hex}".encode()
"""Stands for the sid in documents that are kept: as long as one, and in nobody's text."""

_LONGEST_KEPT = 500
"""Characters of texts and addresses; longer replies are written anew each time."""


class _Choice(NamedTuple):
    """The sender of some parts of a reply."""

    decision: Decision
    in_words: bool = False
    """True when the addresses of the pictures are sent in their place."""

    @property
    def story(self) -> str:
        """The lines for the journal."""
        if self.in_words:
            return f"{_NO_PICTURES}\n{self.decision.trail_text}"
        return self.decision.trail_text


_NO_PICTURES = "no number can send pictures: their addresses are sent"


class Composer:
    """Turns replies into TwiML."""

    def __init__(
        self,
        pool_for: PoolFinder,
        policy_of: Callable[[str | None], ReplyFrom],
        public_url: str,
        availability: Availability | None = None,
        last_senders: StickySenders | None = None,
    ) -> None:
        """Take where pools and policies come from, the URL that receipts come back to, and what is in use.

        Without ``last_senders`` only receipts tell which number a person last heard from.
        """
        self._pool_for = pool_for
        self._policy_of = policy_of
        self._availability = availability or Availability.unrestricted()
        self._last_senders = last_senders
        self._receipts_url = f"{public_url}/sms/status?reply="
        self._kept = ReplyCache()

    def status_url(self, reply_id: str) -> str:
        """Return where the receipts of a reply come back to."""
        return f"{self._receipts_url}{reply_id}"

    def service_of(self, message: InboundMessage, sender: str) -> str | None:
        """Return the Service that a reply from this number belongs to; None outside Services."""
        pool = self._pool_for(message.service_sid, message.recipient)
        return pool.service_sid if pool is not None and pool.holds(sender) else message.service_sid

    def request(self, message: InboundMessage, reply: Reply) -> tuple[Pool | None, SelectionRequest]:
        """Return what the sender selection is asked for this reply."""
        pool = self._pool_for(message.service_sid, message.recipient)
        return pool, self._request(pool, message, reply)

    def _request(self, pool: Pool | None, message: InboundMessage, reply: Reply) -> SelectionRequest:
        service = pool.service_sid if pool is not None else message.service_sid
        return SelectionRequest(
            contact=message.sender,
            country=country_of(message.sender, message.from_country),
            area_code=area_code_of(message.sender),
            needs=Capability.MMS if reply.media_urls else Capability.SMS,
            texted=message.recipient,
            policy=self._policy_of(service),
            preferred_sender=reply.sender,
            one_way=reply.one_way,
        )

    def choose(self, message: InboundMessage, reply: Reply, facts: RecipientFacts) -> Decision:
        """Choose the number that a reply leaves from."""
        pool, request = self.request(message, reply)
        return select(
            pool,
            request,
            self._sticky(message, pool, facts),
            self._availability.conditions(message.recipient),
        )

    def _sticky(self, message: InboundMessage, pool: Pool | None, facts: RecipientFacts) -> RecipientFacts:
        """Add which number the person was answered from, where only this worker knows of it yet."""
        if not self._last_senders or facts.last_sender is not None or facts.opted_out:
            return facts
        known = self._last_senders.get(_scope(message, pool), message.sender)
        return facts if known is None else replace(facts, last_sender=known)

    def _remember_sticky(self, message: InboundMessage, decision: Decision, facts: RecipientFacts) -> None:
        """See to it that the person keeps the one of several equals that they were answered from."""
        if (
            self._last_senders is None
            or not decision.per_recipient
            or decision.address in (None, facts.last_sender)
        ):
            return
        pool = self._pool_for(message.service_sid, message.recipient)
        assert decision.address is not None
        self._last_senders.remember(_scope(message, pool), message.sender, decision.address)

    def count(self, decision: Decision, texts: tuple[str, ...], *, pictures: bool) -> None:
        """Count what leaves against the rate of its sender."""
        self._availability.record_sent(decision, texts, pictures)

    def compose(
        self,
        message: InboundMessage,
        reply: Reply,
        rule: str,
        facts: RecipientFacts = NO_FACTS,
        reply_id: str | None = None,
    ) -> RenderedReply:
        """Choose the sender and write the TwiML; ``rule`` is what the journal names as the reason.

        ``facts`` are the person's; to somebody who has opted out nothing is written. ``reply_id`` is
        what receipts call the document; None for the message's sid.
        """
        if reply.parts:
            return self._compose_parts(message, reply, _reason(rule, reply), facts, reply_id or message.sid)
        composed = self.compose_draft(message, reply, rule, facts, reply_id)
        self.confirm(message, composed, facts)
        return composed

    def compose_draft(
        self,
        message: InboundMessage,
        reply: Reply,
        rule: str,
        facts: RecipientFacts = NO_FACTS,
        reply_id: str | None = None,
    ) -> RenderedReply:
        """Compose a reply without parts that may not leave after all; `leave` tells that it does."""
        rule = _reason(rule, reply)
        pool = self._pool_for(message.service_sid, message.recipient)
        facts = self._sticky(message, pool, facts)
        if facts is NO_FACTS and pool is not None:
            composed = self._from_cache(pool, message, reply, rule)
        else:
            composed = self._composed(pool, self._request(pool, message, reply), reply, rule, facts)
        if composed.decision is None:
            return composed
        document = composed.document.replace(_SLOT, (reply_id or message.sid).encode())
        _, story, unsendable, decision, texts, pictures = composed
        return RenderedReply(document, story, unsendable, decision, texts, pictures)

    def _from_cache(self, pool: Pool, message: InboundMessage, reply: Reply, rule: str) -> RenderedReply:
        """Compose for somebody about whom nothing is known, once for everybody in the same place.

        What was composed before holds as long as nothing speaks against its sender, as in `select`.
        """
        country, area_code = country_of(message.sender, message.from_country), area_code_of(message.sender)
        place = (pool.service_sid, message.recipient, country, area_code)
        likeness = (place, rule, reply.texts, reply.media_urls, reply.sender, reply.one_way)
        kept = self._kept.get(pool, likeness)
        conditions = self._availability.conditions(message.recipient)
        if kept is not None and kept.decision is not None and is_still_valid(kept.decision, conditions):
            return kept
        request = self._request(pool, message, reply)
        decision = select(pool, request)
        if not is_still_valid(decision, conditions):
            return self._composed(pool, request, reply, rule, NO_FACTS)
        composed = self._composed(pool, request, reply, rule, NO_FACTS, decision)
        if composed.decision is decision and not decision.per_recipient:
            self._kept.keep(pool, likeness, composed)
        return composed

    def _composed(
        self,
        pool: Pool | None,
        request: SelectionRequest,
        reply: Reply,
        rule: str,
        facts: RecipientFacts,
        decision: Decision | None = None,
    ) -> RenderedReply:
        """Choose the sender and write the TwiML, with `_SLOT` where the reply's id belongs."""
        texts, media = reply.texts, reply.media_urls
        if not texts and not media:
            return RenderedReply(EMPTY, rule)
        if decision is None:
            decision = select(pool, request, facts, self._availability.conditions(request.texted))
        story = f"{rule}\n{decision.trail_text}"
        if decision.address is not None:
            document = self._document(texts, media, decision.address)
            return RenderedReply(document, story, decision=decision, texts=texts, pictures=bool(media))
        if facts.opted_out:
            return RenderedReply(EMPTY, story)
        if media:
            return self._media_as_links(pool, request, reply, story, facts)
        return RenderedReply(EMPTY, story, unsendable=True)

    def _media_as_links(
        self, pool: Pool | None, request: SelectionRequest, reply: Reply, story: str, facts: RecipientFacts
    ) -> RenderedReply:
        """Say where the pictures are when no number can send any: better than silence (facts 7.1, 30011)."""
        first = "\n".join((*reply.texts[:1], *reply.media_urls))
        words = replace(reply, text=(first, *reply.texts[1:]), media=(), notes=())
        request = request._replace(needs=Capability.SMS)
        return self._composed(pool, request, words, f"{story}\n{_NO_PICTURES}", facts)

    def limited(self, draft: RenderedReply) -> bool:
        """Tell whether a draft counts against a limit, so that the next choice has to know of it at once."""
        return draft.decision is not None and self._availability.is_limited(draft.decision)

    def confirm(
        self, message: InboundMessage, draft: RenderedReply, facts: RecipientFacts = NO_FACTS
    ) -> None:
        """Count what a draft says against the rate of its sender, and have the person keep that number."""
        if draft.decision is not None:
            self.count(draft.decision, draft.texts, pictures=draft.pictures)
            self._remember_sticky(message, draft.decision, facts)

    def _compose_parts(
        self, message: InboundMessage, reply: Reply, rule: str, facts: RecipientFacts, reply_id: str
    ) -> RenderedReply:
        """Choose one sender for all parts with the same wish and recipient, and write the parts in order."""
        choices: dict[tuple[str | None, str], _Choice] = {}
        written: list[OutboundMessage] = []
        for part in reply.parts:
            choice = choices.get(_likeness(part))
            if choice is None:
                choice = choices[_likeness(part)] = self._choose(message, reply, part, facts)
            if choice.decision.address is not None and (part.text or part.media_urls):
                outbound = _part(part, choice, self.status_url(reply_id))
                written.append(outbound)
                self.count(choice.decision, (outbound.body,), pictures=bool(outbound.media))
                if not isinstance(part, RedirectedPart):
                    self._remember_sticky(message, choice.decision, facts)
        story = "\n".join([rule, *(choice.story for choice in choices.values())])
        if not written:
            return RenderedReply(EMPTY, story, unsendable=not reply.silent and not facts.opted_out)
        return RenderedReply(render(written), story)

    def _choose(self, message: InboundMessage, reply: Reply, part: Part, facts: RecipientFacts) -> _Choice:
        """Choose the sender of a part and its like; where none can send their pictures, one for words."""
        pool, request = self.request(message, replace(reply, sender=part.sender or reply.sender))
        if isinstance(part, RedirectedPart):
            facts, person = part.facts, part.recipient
            country, area_code = country_of(person, None), area_code_of(person)
            request = request._replace(contact=person, country=country, area_code=area_code, to_another=True)
        like = [each for each in reply.parts if _likeness(each) == _likeness(part)]
        pictures = any(each.media_urls for each in like)
        conditions = self._availability.conditions(message.recipient)
        needs = Capability.MMS if pictures else Capability.SMS
        decision = select(pool, request._replace(needs=needs), facts, conditions)
        if decision.address is not None or not pictures or facts.opted_out:
            return _Choice(decision)
        words = request._replace(needs=Capability.SMS)
        return _Choice(select(pool, words, facts, conditions), in_words=True)

    def _document(self, texts: tuple[str, ...], media: tuple[str, ...], sender: str) -> bytes:
        """Write the TwiML; the same short reply to many people is written once."""
        size = sum(map(len, texts)) + sum(map(len, media))
        write = _written if size > _LONGEST_KEPT else _kept
        return write(texts, media, sender, f"{self._receipts_url}{_SLOT.decode()}")

    def render_plain(self, reply: Reply) -> bytes:
        """Write a reply that leaves from the number that was texted, without asking anybody."""
        return render([OutboundMessage(text) for text in reply.texts])


def _written(texts: tuple[str, ...], media: tuple[str, ...], sender: str, status_url: str) -> bytes:
    parts = [
        OutboundMessage(text, () if index else media, sender, status_url)
        for index, text in enumerate(texts or ("",))
    ]
    return render(parts)


def _reason(rule: str, reply: Reply) -> str:
    return "\n".join((rule, *reply.notes)) if reply.notes else rule


def _part(part: Part, choice: _Choice, status_url: str) -> OutboundMessage:
    body, media = part.text, part.media_urls
    if choice.in_words:
        body, media = "\n".join(filter(None, (body, *media))), ()
    recipient = part.recipient if isinstance(part, RedirectedPart) else None
    return OutboundMessage(body, media, choice.decision.address, status_url, recipient)


def _scope(message: InboundMessage, pool: Pool | None) -> str:
    """Return the scope of what is known of a person: as `People.scope_of`, with the pool at hand."""
    return message.service_sid or (pool.service_sid if pool is not None else message.recipient)


def _likeness(part: Part) -> tuple[str | None, str]:
    """Return what parts have in common that leave from one number: the wish and the recipient."""
    return part.sender, part.recipient if isinstance(part, RedirectedPart) else ""


_kept = lru_cache(maxsize=2048)(_written)
