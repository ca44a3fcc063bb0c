"""Composes the answer to a message: selects the sender of its reply and renders the TwiML."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace
from typing import NamedTuple
from uuid import uuid4

from sms_router.routing.handler.reply import Part, RedirectedPart, Reply
from sms_router.routing.pipeline.sticky_senders import StickySenders
from sms_router.senders.availability import Availability
from sms_router.senders.country import area_code_of, country_of
from sms_router.senders.models import (
    NO_CONDITIONS,
    NO_FACTS,
    Capability,
    Decision,
    RecipientFacts,
    ReplyFrom,
    SelectionRequest,
    SenderConditions,
)
from sms_router.senders.pool import Pool, PoolFinder
from sms_router.senders.selection import is_still_valid, select
from sms_router.twilio.inbound import GROUP_PARAMETER, InboundMessage
from sms_router.twilio.phone_numbers import ANONYMOUS, find_machine
from sms_router.twilio.twiml import EMPTY, OutboundMessage, render

MAX_CACHED_REPLIES = 2048
MAX_CACHED_REPLY_BYTES = 1500
"""Together some 5 MB."""

_REPLY_ID = f"SM{uuid4().hex}".encode()
"""Stands for the reply's id in a rendered document: as long as a sid, and in no text."""

_MEDIA_AS_LINKS = "no sender can send MMS: the links are sent as text"


class RenderedReply(NamedTuple):
    """A reply as TwiML, and how its sender was selected."""

    document: bytes
    trail_text: str
    """A line with the rule, then the trail of the sender selection, for the journal."""
    unsendable: bool = False
    """True where there is a reply and no sender that can carry it."""
    decision: Decision | None = None
    """The sender; None for an empty document, and for a reply of parts, which have one each."""
    texts: tuple[str, ...] = ()
    has_media: bool = False
    is_limited: bool = False
    """True where the sender has a rate limit or a daily cap."""


class ReplyCache:
    """Replies as they were rendered for contacts of whom nothing is known, without their ids.

    A key names all that such a reply depends on, except the sender pool and the conditions of senders. A pool
    is never changed, only replaced; all replies are dropped then. The caller checks the conditions.
    """

    def __init__(self) -> None:
        self._replies: dict[tuple[object, ...], tuple[Pool, RenderedReply]] = {}

    def get(self, pool: Pool, key: tuple[object, ...]) -> RenderedReply | None:
        """Return the reply that was rendered with this very pool."""
        entry = self._replies.get(key)
        if entry is None:
            return None
        if entry[0] is not pool:
            self._replies.clear()
            return None
        return entry[1]

    def put(self, pool: Pool, key: tuple[object, ...], rendered: RenderedReply) -> None:
        """Keep a reply, unless it is large."""
        if len(rendered.document) > MAX_CACHED_REPLY_BYTES:
            return
        if len(self._replies) >= MAX_CACHED_REPLIES:
            self._replies.clear()
        self._replies[key] = pool, rendered


class Composer:
    """Turns replies into TwiML.

    Args:
        pool_for: finds the sender pool of a message.
        reply_from: the policy of each Service, by its sid; that of all others under None.
        public_url: where Twilio reaches this router; status callbacks are sent there.
        availability: which senders can be used now; all of them if it is not given.
        sticky_senders: the senders that this worker chose lately, before any receipt confirms them.
        own_numbers: those of all accounts, to which nothing is sent; it may change.
        answer_groups: whether a group MMS is answered.

    """

    def __init__(
        self,
        pool_for: PoolFinder,
        reply_from: Mapping[str | None, ReplyFrom],
        public_url: str,
        availability: Availability | None = None,
        sticky_senders: StickySenders | None = None,
        own_numbers: Container[str] = (),
        answer_groups: bool = False,
    ) -> None:
        self._pool_for = pool_for
        self._reply_from = reply_from
        self._availability = availability or Availability.unrestricted()
        self._sticky_senders = sticky_senders
        self._own_numbers = own_numbers
        self._answer_groups = answer_groups
        self._status_url = f"{public_url}/sms/status?reply="
        self._cache = ReplyCache()

    def status_url(self, reply_id: str) -> str:
        """Return the URL for the status callbacks of a reply."""
        return f"{self._status_url}{reply_id}"

    def refusal(self, message: InboundMessage, *, is_opt_out: bool = False) -> str | None:
        """Return why nothing is sent to the sender of a message; None where a reply is.

        ``is_opt_out`` is True for the reply to an opt-out keyword, which also counts in a group.
        """
        contact = message.contact
        if contact in self._own_numbers or contact.rpartition(":")[2] in self._own_numbers:
            return "not sent: the message comes from one of our own numbers"
        if (machine := find_machine(contact)) is not None:
            return f"not sent: {machine}"
        if not self._answer_groups and not is_opt_out and message.is_group_message:
            return "not sent: it is a group MMS (answer in [groups])"
        return None

    def service_of(self, message: InboundMessage, sender: str) -> str | None:
        """Return the Service that a reply from this number belongs to; None outside of any."""
        pool = self._pool_for(message.service_sid, message.recipient, message.account_sid)
        return pool.service_sid if pool is not None and pool.holds(sender) else message.service_sid

    def request(self, message: InboundMessage, reply: Reply) -> tuple[Pool | None, SelectionRequest]:
        """Return the arguments of the sender selection for a reply."""
        pool = self._pool_for(message.service_sid, message.recipient, message.account_sid)
        country, area_code = country_of(message.contact, message.from_country), area_code_of(message.contact)
        needs = Capability.MMS if reply.media_urls else Capability.SMS
        return pool, self._request(pool, message, reply, country, area_code, needs)

    def _request(
        self,
        pool: Pool | None,
        message: InboundMessage,
        reply: Reply,
        country: str | None,
        area_code: str | None,
        needs: Capability,
    ) -> SelectionRequest:
        service_sid = pool.service_sid if pool is not None else message.service_sid
        return SelectionRequest(
            contact=message.contact,
            country=country,
            area_code=area_code,
            needs=needs,
            texted=message.recipient,
            policy=self._reply_from.get(service_sid) or self._reply_from[None],
            preferred_sender=reply.sender,
            one_way=reply.one_way,
        )

    def choose(self, message: InboundMessage, reply: Reply, facts: RecipientFacts) -> Decision:
        """Return the sender of a reply that is not composed here; `record_sent` counts it."""
        pool, request = self.request(message, reply)
        facts = self._with_sticky_sender(message, pool, facts)
        return select(pool, request, facts, self._availability.conditions(message.recipient))

    def compose(
        self,
        message: InboundMessage,
        reply: Reply,
        rule: str,
        facts: RecipientFacts = NO_FACTS,
        reply_id: str | None = None,
        *,
        is_opt_out: bool = False,
    ) -> RenderedReply:
        """Select the sender of a reply, render it, and count it against the sender's rate.

        Args:
            message: what is answered.
            reply: what the rule answers.
            rule: the reason, as the journal names it.
            facts: what is known of the contact; one who has opted out gets an empty document.
            reply_id: how status callbacks name the document; the message's sid if it is not given.
            is_opt_out: whether an opt-out keyword is answered.

        """
        if reply.parts:
            return self._compose_parts(message, reply, rule, facts, reply_id or message.sid)
        rendered = self.compose_draft(message, reply, rule, facts, reply_id, is_opt_out=is_opt_out)
        if rendered.decision is not None:
            self.record_sent(rendered.decision, rendered.texts, has_media=rendered.has_media)
            self._keep_sticky_sender(message, rendered.decision, facts)
        return rendered

    def compose_draft(
        self,
        message: InboundMessage,
        reply: Reply,
        rule: str,
        facts: RecipientFacts = NO_FACTS,
        reply_id: str | None = None,
        *,
        is_opt_out: bool = False,
    ) -> RenderedReply:
        """Do as `compose` for a reply without parts that may not be sent; `confirm` follows when it is."""
        if reply.notes:
            rule = _with_notes(rule, reply)
        texts, media = reply.texts, reply.media_urls
        if not texts and not media:
            return RenderedReply(EMPTY, rule)
        contact = message.contact
        # Most messages come from a person's number alone, which costs no call.
        is_usual = contact[:1] == "+" and contact[10:] and contact not in ANONYMOUS
        if not is_usual or contact in self._own_numbers or GROUP_PARAMETER in message.parameters:
            refusal = self.refusal(message, is_opt_out=is_opt_out)
            if refusal is not None:
                return RenderedReply(EMPTY, f"{rule}\n{refusal}")
        pool = self._pool_for(message.service_sid, message.recipient, message.account_sid)
        if self._sticky_senders is not None and self._sticky_senders.recent:
            facts = self._with_sticky_sender(message, pool, facts)
        conditions = self._availability.conditions(message.recipient)
        if facts is NO_FACTS and pool is not None:
            rendered = self._render_shared(pool, message, reply, rule, texts, media, conditions)
        else:
            _, request = self.request(message, reply)
            rendered = self._render(pool, request, rule, texts, media, facts, conditions)
        if rendered.decision is None:
            return rendered
        document, trail_text, unsendable, decision, texts, has_media, is_limited = rendered
        document = document.replace(_REPLY_ID, (reply_id or message.sid).encode())
        return RenderedReply(document, trail_text, unsendable, decision, texts, has_media, is_limited)

    def _render_shared(
        self,
        pool: Pool,
        message: InboundMessage,
        reply: Reply,
        rule: str,
        texts: tuple[str, ...],
        media: tuple[str, ...],
        conditions: SenderConditions,
    ) -> RenderedReply:
        """Render a reply to a contact of whom nothing is known, once for all contacts of an area code.

        It is rendered as without conditions, and shared as long as these do not change the sender.
        """
        contact = message.contact
        country, area_code = country_of(contact, message.from_country), area_code_of(contact)
        place = (pool.service_sid, message.recipient, country, area_code)
        key = (place, rule, texts, media, reply.sender, reply.one_way)
        rendered = self._cache.get(pool, key)
        if rendered is not None:
            decision = rendered.decision
            if decision is not None and not decision.per_recipient and is_still_valid(decision, conditions):
                return rendered
        needs = Capability.MMS if media else Capability.SMS
        request = self._request(pool, message, reply, country, area_code, needs)
        if rendered is None:
            rendered = self._render(pool, request, rule, texts, media, NO_FACTS, NO_CONDITIONS)
            self._cache.put(pool, key, rendered)
            if rendered.decision is not None and is_still_valid(rendered.decision, conditions):
                return rendered
        return self._render(pool, request, rule, texts, media, NO_FACTS, conditions)

    def _render(
        self,
        pool: Pool | None,
        request: SelectionRequest,
        rule: str,
        texts: tuple[str, ...],
        media: tuple[str, ...],
        facts: RecipientFacts,
        conditions: SenderConditions,
    ) -> RenderedReply:
        """Select the sender and render the TwiML, with `_REPLY_ID` in the place of the reply's id."""
        decision = select(pool, request, facts, conditions)
        trail_text = f"{rule}\n{decision.trail_text}"
        if decision.address is not None:
            status_url = f"{self._status_url}{_REPLY_ID.decode()}"
            first, *others = texts or ("",)
            messages = [OutboundMessage(first, media, decision.address, status_url)]
            messages += [OutboundMessage(text, (), decision.address, status_url) for text in others]
            is_limited = self._availability.is_limited(decision)
            return RenderedReply(
                render(messages), trail_text, False, decision, texts, bool(media), is_limited
            )
        if facts.opted_out:
            return RenderedReply(EMPTY, trail_text)
        if not media:
            return RenderedReply(EMPTY, trail_text, unsendable=True)
        links = "\n".join((*texts[:1], *media))
        request = request._replace(needs=Capability.SMS)
        rule = f"{trail_text}\n{_MEDIA_AS_LINKS}"
        return self._render(pool, request, rule, (links, *texts[1:]), (), facts, conditions)

    def confirm(self, message: InboundMessage, decision: Decision) -> None:
        """Record that a draft was sent from a sender that was chosen among equals and has no limit."""
        self.record_sent(decision, (), has_media=False)
        self._keep_sticky_sender(message, decision, NO_FACTS)

    def record_sent(self, decision: Decision, texts: tuple[str, ...], *, has_media: bool) -> None:
        """Count a reply against the rate of its sender."""
        self._availability.record_sent(decision, texts, has_media)

    def _compose_parts(
        self, message: InboundMessage, reply: Reply, rule: str, facts: RecipientFacts, reply_id: str
    ) -> RenderedReply:
        """Render the parts in order; those with the same recipient and preferred sender share a sender."""
        if (refusal := self.refusal(message)) is not None:
            others = tuple(part for part in reply.parts if part.to)
            reply, rule = replace(reply, parts=others), f"{rule}\n{refusal}"
        groups: dict[tuple[str | None, str | None], list[Part]] = {}
        for part in reply.parts:
            groups.setdefault(_group_of(part), []).append(part)
        choices = {
            group: self._choose_for_parts(message, reply, parts, facts) for group, parts in groups.items()
        }
        status_url = self.status_url(reply_id)
        messages: list[OutboundMessage] = []
        for part in reply.parts:
            choice = choices[_group_of(part)]
            address, media = choice.decision.address, part.media_urls
            if address is None or not (part.text or media):
                continue
            text = part.text
            if choice.media_as_links:
                text, media = "\n".join(filter(None, (text, *media))), ()
            messages.append(OutboundMessage(text, media, address, status_url, part.to))
            self.record_sent(choice.decision, (text,), has_media=bool(media))
            if part.to is None:
                self._keep_sticky_sender(message, choice.decision, facts)
        trails = [choice.trail_text for choice in choices.values()]
        trail_text = "\n".join((_with_notes(rule, reply), *trails))
        if not messages:
            return RenderedReply(EMPTY, trail_text, unsendable=not reply.is_silent and not facts.opted_out)
        return RenderedReply(render(messages), trail_text)

    def _choose_for_parts(
        self, message: InboundMessage, reply: Reply, parts: list[Part], facts: RecipientFacts
    ) -> _PartsChoice:
        """Choose the sender of parts of one group, one for SMS where none can send their media."""
        part = parts[0]
        pool, request = self.request(message, replace(reply, sender=part.sender or reply.sender))
        if isinstance(part, RedirectedPart) and part.to is not None:
            facts, contact = part.facts, part.to
            country, area_code = country_of(contact, None), area_code_of(contact)
            request = request._replace(contact=contact, country=country, area_code=area_code, to_another=True)
        has_media = any(part.media_urls for part in parts)
        conditions = self._availability.conditions(message.recipient)
        needs = Capability.MMS if has_media else Capability.SMS
        decision = select(pool, request._replace(needs=needs), facts, conditions)
        if decision.address is not None or not has_media or facts.opted_out:
            return _PartsChoice(decision)
        decision = select(pool, request._replace(needs=Capability.SMS), facts, conditions)
        return _PartsChoice(decision, media_as_links=True)

    def render_plain(self, reply: Reply) -> bytes:
        """Return the TwiML of a reply from the number that was texted, without any selection."""
        return render([OutboundMessage(text) for text in reply.texts])

    def _with_sticky_sender(
        self, message: InboundMessage, pool: Pool | None, facts: RecipientFacts
    ) -> RecipientFacts:
        """Add the sender that this worker chose for the contact lately, where Redis has none."""
        sticky = self._sticky_senders
        if sticky is None or not sticky.recent or facts.last_sender is not None or facts.opted_out:
            return facts
        address = sticky.recent.get((_scope_of(message, pool), message.contact))
        return facts if address is None else replace(facts, last_sender=address)

    def _keep_sticky_sender(self, message: InboundMessage, decision: Decision, facts: RecipientFacts) -> None:
        """Have the contact keep a sender that was chosen among equals."""
        address = decision.address
        if self._sticky_senders is None or not decision.per_recipient or address is None:
            return
        if address != facts.last_sender:
            pool = self._pool_for(message.service_sid, message.recipient, message.account_sid)
            self._sticky_senders.remember(_scope_of(message, pool), message.contact, address)


class _PartsChoice(NamedTuple):
    """The sender of some parts of a reply."""

    decision: Decision
    media_as_links: bool = False

    @property
    def trail_text(self) -> str:
        text = self.decision.trail_text
        return f"{_MEDIA_AS_LINKS}\n{text}" if self.media_as_links else text


def _with_notes(rule: str, reply: Reply) -> str:
    return "\n".join((rule, *reply.notes))


def _group_of(part: Part) -> tuple[str | None, str | None]:
    return part.sender, part.to


def _scope_of(message: InboundMessage, pool: Pool | None) -> str:
    """Return where the contact's facts belong: as `Contacts.scope_of`, with the pool at hand."""
    return "" if pool is None else message.service_sid or pool.service_sid
