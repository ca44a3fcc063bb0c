"""From a reply to the bytes that Twilio gets: the sender is chosen, the TwiML written, the story kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple
from uuid import uuid4

from app.routing.replies import Reply
from app.senders.availability import EVERYTHING_AVAILABLE, Availability
from app.senders.country import area_code_of, country_of
from app.senders.pool import Pool
from app.senders.request import NOTHING_LEARNED, Facts, ReplyFrom, Request
from app.senders.selection import select
from app.senders.sender import Capability
from app.twilio.inbound import InboundMessage
from app.twilio.twiml import EMPTY, OutboundMessage, render

PoolFinder = Callable[[str | None, str], Pool | None]
"""Given the message's Service (or None) and the number that was texted, the pool that answers."""


_SLOT = f"SM{uuid4().hex}"
"""Stands for the sid in documents that are kept: as long as one, and in nobody's text."""

_LONGEST_KEPT = 500
"""Characters of texts and addresses; longer replies are written anew each time."""


class Composed(NamedTuple):
    """What leaves for the person, and how it was decided."""

    document: bytes
    story: str
    """For the journal: a line with the rule, then the trail of the sender's choice."""
    unsendable: bool = False
    """True when there is something to say and no number that can carry it."""


class Composer:
    """Turns replies into TwiML."""

    def __init__(
        self,
        pool_for: PoolFinder,
        policy_of: Callable[[str | None], ReplyFrom],
        public_url: str,
        availability: Availability = EVERYTHING_AVAILABLE,
    ) -> None:
        """Take where pools and policies come from, the URL that receipts come back to, and what is in use."""
        self._pool_for = pool_for
        self._policy_of = policy_of
        self._availability = availability
        self._status_url = f"{public_url}/sms/status?reply="

    def request(self, message: InboundMessage, reply: Reply) -> tuple[Pool | None, Request]:
        """Return what the sender selection is asked for this reply."""
        pool = self._pool_for(message.service_sid, message.recipient)
        service = pool.service_sid if pool is not None else message.service_sid
        request = Request(
            person=message.sender,
            country=country_of(message.sender, message.from_country),
            area_code=area_code_of(message.sender),
            needs=Capability.MMS if reply.media_urls else Capability.SMS,
            texted=message.recipient,
            policy=self._policy_of(service),
            wish=reply.sender,
            one_way=reply.one_way,
        )
        return pool, request

    def compose(
        self, message: InboundMessage, reply: Reply, rule: str, facts: Facts = NOTHING_LEARNED
    ) -> Composed:
        """Choose the sender and write the TwiML; ``rule`` is what the journal names as the reason.

        ``facts`` are the person's; to somebody who has opted out nothing is written.
        """
        texts, media = reply.texts, reply.media_urls
        if not texts and not media:
            return Composed(EMPTY, rule)
        decision = select(*self.request(message, reply), facts, self._availability.conditions())
        story = f"{rule}\n{decision.story}"
        if decision.address is None:
            if facts.opted_out:
                return Composed(EMPTY, story)
            if media:
                return self._in_words(message, reply, story, facts)
            return Composed(EMPTY, story, unsendable=True)
        return Composed(self._document(texts, media, decision.address, message.sid), story)

    def _in_words(self, message: InboundMessage, reply: Reply, story: str, facts: Facts) -> Composed:
        """Say where the pictures are when no number can send any: better than silence (facts 7.1, 30011)."""
        first = "\n".join((*reply.texts[:1], *reply.media_urls))
        words = replace(reply, text=(first, *reply.texts[1:]), media=())
        why = f"{story}\nno number can send pictures: their addresses are sent"
        return self.compose(message, words, why, facts)

    def _document(
        self, texts: tuple[str, ...], media: tuple[str, ...], sender: str, message_sid: str
    ) -> bytes:
        """Write the TwiML; the same short reply to many people is written once, but for the sid."""
        size = sum(map(len, texts)) + sum(map(len, media))
        if size > _LONGEST_KEPT:
            return _written(texts, media, sender, f"{self._status_url}{message_sid}")
        kept = _kept(texts, media, sender, f"{self._status_url}{_SLOT}")
        return kept.replace(_SLOT.encode(), message_sid.encode())

    def plainly(self, reply: Reply) -> bytes:
        """Write a reply that leaves from the number that was texted, without asking anybody."""
        return render([OutboundMessage(text) for text in reply.texts]).document


def _written(texts: tuple[str, ...], media: tuple[str, ...], sender: str, status_url: str) -> bytes:
    parts = [
        OutboundMessage(text, () if index else media, sender, f"{status_url}.{index}")
        for index, text in enumerate(texts or ("",))
    ]
    return render(parts).document


_kept = lru_cache(maxsize=2048)(_written)
