"""Plays a carrier's auditor, who texts opt-out words to each kind of number and notes who replies what."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from sms_router.sandbox.inbound.session import receive_text
from sms_router.sandbox.inbound.webhook_parameters import IncomingText
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.world.numbers import Number

ORDINARY_TEXT = "hello"
"""What the auditor texts after STOP, which gets no reply."""

_AREA_CODES = {"CA": "604"}


@dataclass(frozen=True, slots=True)
class AuditWords:
    """The opt-out words of one language."""

    language: str
    help: str
    stop: str
    start: str


@dataclass(frozen=True, slots=True)
class AuditReply:
    """One reply, and who has sent it."""

    author: str
    """``router``, ``Twilio`` or ``network``."""
    text: str


@dataclass(frozen=True, slots=True)
class AuditedText:
    """One text of the auditor, with all replies to it."""

    number: str
    kind: str
    language: str
    intent: str
    """``HELP``, ``STOP``, ``START``; empty for an ordinary text."""
    text: str
    replies: tuple[AuditReply, ...]

    @property
    def objection(self) -> str:
        """Return what is wrong with the number of replies; empty where nothing is."""
        expected = 1 if self.intent else 0
        count = len(self.replies)
        return "" if count == expected else f"replies: {count} instead of {expected}"


async def play_audit(platform: Platform, languages: Sequence[AuditWords]) -> AsyncIterator[AuditedText]:
    """Text HELP, STOP, an ordinary text and START to one number of each kind, in each language."""
    members = [number for number in platform.account.numbers if platform.account.service_of(number.sid)]
    first = {number.kind: number for number in reversed(members)}
    phone = 2000
    for number in first.values():
        for words in languages:
            phone += 1
            sender = f"+1{_AREA_CODES.get(number.country or '', '415')}555{phone}"
            texts = (("HELP", words.help), ("STOP", words.stop), ("", ORDINARY_TEXT), ("START", words.start))
            for intent, text in texts:
                replies = await _text(platform, number, sender, text)
                yield AuditedText(number.address, number.kind.value, words.language, intent, text, replies)


async def _text(platform: Platform, number: Number, sender: str, text: str) -> tuple[AuditReply, ...]:
    result = await receive_text(platform, IncomingText(sender, number, text))
    authors = {id(accepted): "Twilio" for accepted in result.twilio_replies}
    return (
        *(AuditReply("network", reply.body) for reply in result.network_replies),
        *(AuditReply(authors.get(id(one), "router"), one.message.body) for one in result.sent),
    )
