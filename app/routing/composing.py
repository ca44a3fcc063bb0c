"""From a reply to the bytes that Twilio gets: the sender is chosen, the TwiML written, the story kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from app.routing.replies import Reply
from app.senders.country import area_code_of, country_of
from app.senders.decision import Decision
from app.senders.pool import Pool
from app.senders.request import ReplyFrom, Request
from app.senders.selection import select
from app.senders.sender import Capability
from app.twilio.inbound import InboundMessage
from app.twilio.twiml import EMPTY, OutboundMessage, render

PoolFinder = Callable[[str | None, str], Pool | None]
"""Given the message's Service (or None) and the number that was texted, the pool that answers."""


@dataclass(frozen=True, slots=True)
class Composed:
    """What leaves for the person, and how it was decided."""

    document: bytes
    detail: str
    """JSON for the journal: rule, sender, trail, texts."""


class Composer:
    """Turns replies into TwiML."""

    def __init__(
        self, pool_for: PoolFinder, policy_of: Callable[[str | None], ReplyFrom], public_url: str
    ) -> None:
        """Take where pools and policies come from, and the URL that receipts come back to."""
        self._pool_for = pool_for
        self._policy_of = policy_of
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

    def compose(self, message: InboundMessage, reply: Reply, rule: str) -> Composed:
        """Choose the sender and write the TwiML; ``rule`` is what the journal names as the reason."""
        texts, media = reply.texts, reply.media_urls
        if not texts and not media:
            return Composed(EMPTY, json.dumps({"rule": rule}))
        pool, request = self.request(message, reply)
        decision = select(pool, request)
        detail = _detail(rule, texts, media, decision)
        if decision.address is None:
            return Composed(EMPTY, detail)
        url = f"{self._status_url}{message.sid}."
        parts = [
            OutboundMessage(text, () if index else media, decision.address, f"{url}{index}")
            for index, text in enumerate(texts or ("",))
        ]
        return Composed(render(parts).document, detail)

    def plainly(self, reply: Reply) -> bytes:
        """Write a reply that leaves from the number that was texted, without asking anybody."""
        return render([OutboundMessage(text) for text in reply.texts]).document


def _detail(rule: str, texts: tuple[str, ...], media: tuple[str, ...], decision: Decision) -> str:
    detail: dict[str, object] = {
        "rule": rule,
        "sender": decision.address,
        "trail": [str(line) for line in decision.trail],
        "texts": texts,
    }
    if media:
        detail["media"] = media
    return json.dumps(detail)
