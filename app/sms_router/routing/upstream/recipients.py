"""Recipients of an upstream's messages: the contact, or another number unless it has opted out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urljoin

from sms_router.privacy import mask_number
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.handler.reply import Part, RedirectedPart, Reply, is_media_url
from sms_router.routing.opt_outs.evidence import Event, Evidence
from sms_router.store.errors import StoreUnavailableError
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.phone_numbers import is_e164
from sms_router.twilio.twiml_parser import SendMessage
from sms_router.twilio.webhook_url import WebhookUrl

log = logging.getLogger("sms_router.upstream")


def refuse_message(message: SendMessage, page: WebhookUrl, inbound: InboundMessage) -> str | None:
    """Return why a message of an upstream can never be sent; None if it can be."""
    if not message.body and not _absolute_urls(page, message.media)[0]:
        return "it has neither a text nor media that Twilio can fetch"
    if message.recipient not in (None, inbound.sender) and not is_e164(message.recipient or ""):
        return f"its recipient {mask_number(message.recipient or '')} is not a phone number"
    return None


async def resolve_recipients(
    messages: Sequence[tuple[SendMessage, WebhookUrl]], inbound: InboundMessage, contacts: Contacts
) -> tuple[list[Part], list[str]]:
    """Return the messages of an upstream that may be sent as parts of a reply, and a note for each omission.

    Each message comes with the URL of its document.
    """
    parts: list[Part] = []
    omissions: list[str] = []

    def omit(page: WebhookUrl, note: str) -> None:
        omissions.append(note)
        log.warning("%s: %s", page, note)

    for message, page in messages:
        media, invalid = _absolute_urls(page, message.media)
        for url in invalid:
            omit(page, f"media that Twilio would refuse is left out: {url!r:.80} is no URL")
        part = Part(message.body, media, message.sender)
        if message.recipient in (None, inbound.sender):
            parts.append(part)
            continue
        redirected = await _redirect(part, message.recipient or "", inbound, contacts, "an application")
        if isinstance(redirected, Part):
            parts.append(redirected)
        else:
            omit(page, redirected)
    return parts, omissions


async def address_parts(reply: Reply, inbound: InboundMessage, contacts: Contacts) -> Reply:
    """Return the reply of a handler, without the parts to other people who have opted out."""
    parts: list[Part] = []
    notes = list(reply.notes)
    for part in reply.parts:
        if part.to in (None, inbound.contact):
            parts.append(part if part.to is None else Part(part.text, part.media, part.sender))
            continue
        redirected: Part | str = part
        if not isinstance(part, RedirectedPart):  # else an application has sent it, which the handler called
            redirected = await _redirect(part, part.to or "", inbound, contacts, "a handler")
        if isinstance(redirected, Part):
            parts.append(redirected)
        else:
            notes.append(redirected)
            log.warning("%s", redirected)
    return replace(reply, parts=parts, notes=notes)


def _absolute_urls(page: WebhookUrl, media: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the media's absolute URLs, and the values that are no URLs."""
    absolute, invalid = [], []
    for url in media:
        try:
            joined = urljoin(page.called, url)
        except ValueError:
            joined = ""
        if is_media_url(joined):
            absolute.append(joined)
        else:
            invalid.append(url)
    return absolute, invalid


async def _redirect(
    part: Part, recipient: str, inbound: InboundMessage, contacts: Contacts, author: str
) -> RedirectedPart | str:
    """Return the part addressed to another recipient, or a note that it is left out, and why."""
    omission = f"a message to {mask_number(recipient)} is left out: "
    if not is_e164(recipient):
        return omission + "not a phone number like +14155550123"
    if contacts.is_own_number(recipient, inbound.account_sid):
        return omission + "the number is one of our senders, which would answer itself"
    scope = contacts.scope_of(inbound.service_sid, inbound.recipient, inbound.account_sid)
    try:
        facts = await contacts.facts_now(scope, recipient)
    except StoreUnavailableError:
        if not contacts.is_opted_out_cached(scope, recipient):
            return omission + "whether the recipient has opted out is unknown while Redis is unavailable"
    else:
        if not facts.opted_out:
            return RedirectedPart(part.text, part.media, part.sender, recipient, facts)
    reason, sender = "the recipient has opted out", part.sender or ""
    refused = Evidence(Event.REFUSED, f"message of {author}", reason, inbound.sid, sender, part.text)
    await contacts.record_refusal(scope, recipient, refused)
    return omission + reason
