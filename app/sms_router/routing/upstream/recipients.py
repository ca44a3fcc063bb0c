"""To whom an upstream's messages go: to who texted, or where it says, but to nobody who opted out."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from urllib.parse import urljoin

from sms_router.privacy import mask_number
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.handler.reply import Part, RedirectedPart, is_media_url
from sms_router.store.errors import StoreUnavailableError
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.twiml_parser import SendMessage
from sms_router.twilio.webhook_url import WebhookUrl

log = logging.getLogger("sms_router.upstream")

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


async def resolve_recipients(
    found: Sequence[tuple[SendMessage, WebhookUrl]], message: InboundMessage, people: Contacts
) -> tuple[list[Part], list[str]]:
    """Return the messages that may be sent, and a line for each that may not."""
    parts: list[Part] = []
    remarks: list[str] = []
    for said, page in found:
        media, others = _joined(page, said.media)
        for url in others:
            remarks.append(f"a picture that Twilio would refuse is left out: {url!r:.80} is no URL")
            log.warning("%s: %s", page, remarks[-1])
        part = Part(said.body, media, said.sender)
        if said.recipient in (None, message.sender):
            parts.append(part)
            continue
        other = await _elsewhere(part, said.recipient or "", message, people)
        if isinstance(other, Part):
            parts.append(other)
        else:
            remarks.append(f"a message to {mask_number(said.recipient or '')} is left out: {other}")
            log.warning("%s: %s", page, remarks[-1])
    return parts, remarks


def _joined(page: WebhookUrl, media: Sequence[str]) -> tuple[list[str], list[str]]:
    """Make the media's URLs absolute, and return apart what is not a URL."""
    joined, others = [], []
    for url in media:
        try:
            whole = urljoin(page.called, url)
        except ValueError:
            whole = ""
        if is_media_url(whole):
            joined.append(whole)
        else:
            others.append(url)
    return joined, others


async def _elsewhere(part: Part, recipient: str, message: InboundMessage, people: Contacts) -> Part | str:
    """Address a message to somebody else, if they may be texted; else say why not."""
    if not _E164.fullmatch(recipient):
        return "not a phone number like +14155550123"
    if people.scope_of(None, recipient) != recipient:
        return "it is a number of ours, which would answer itself"
    scope = people.scope_of(message.service_sid, message.recipient)
    if people.is_opted_out_cached(scope, recipient):
        return "they have opted out"
    try:
        facts = await people.facts_now(scope, recipient)
    except StoreUnavailableError:
        return "whether they opted out is not known while Redis is away"
    if facts.opted_out:
        return "they have opted out"
    return RedirectedPart(part.text, part.media, part.sender, recipient, facts)
