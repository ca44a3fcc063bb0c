"""Reads and changes what is stored of contacts: opt-outs, unreachable senders, the last sender."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sms_router.routing.contacts.contact import UNKNOWN, Contact, ContactFields, parse_contact
from sms_router.routing.handler.events import EventRecorder
from sms_router.routing.opt_outs.cache import ConsentChange, OptOutCache
from sms_router.routing.opt_outs.evidence import Event, Evidence
from sms_router.routing.opt_outs.sync import restore_call
from sms_router.senders.error_table import ErrorTable
from sms_router.senders.models import NO_FACTS, RecipientFacts, Tenancy
from sms_router.senders.pool import PoolFinder
from sms_router.store import scripts
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.keys import CONSENTS_CHANNEL, bucket_of
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.store import Store
from sms_router.twilio.inbound import InboundMessage

MAX_SUSPECTED = 1_000
"""Contacts whose texts may be meant as an opt-out and wait for a decision."""

MAX_PROFILE_BYTES = 8192
"""Of what handlers on several workers have stored of one contact."""

PUBLISH_TIMEOUT = 0.1
"""Seconds for publishing an opt-out that Redis could not store; the answer waits for it."""

_OPTED_OUT, _UNPROVED = RecipientFacts(opted_out=True), RecipientFacts(opted_out=True)
"""`_UNPROVED`: this worker knows of an opt-out that Redis does not have, see `Contacts.prove`."""


@dataclass(eq=False)
class Contacts:
    """The contacts of all Services, in Redis; the worker also has a cache of the opt-out list.

    What reads raises `StoreUnavailableError` when Redis does not respond; then nothing may be sent.
    """

    store: Store
    writer: DurableWriter
    """Keeps changes while Redis is unavailable."""
    pool_for: PoolFinder
    table: ErrorTable
    """Decides for how long a sender is unreachable."""
    clock: Callable[[], float] = time.time
    """Returns the time in seconds since the epoch."""
    consent_retention_days: float = 1461
    """How long a START is kept, as the proof that ends older copies of a STOP."""
    tenancy: Tenancy | None = None
    """Which account owns what; None where there is one account."""
    opted_out: OptOutCache = field(default_factory=OptOutCache, init=False)
    suspected: int = field(default=0, init=False)
    """Contacts whose texts may be meant as an opt-out, and wait for an operator's decision."""
    events: EventRecorder = field(default_factory=EventRecorder, init=False)
    """Of changes of the opt-out list; those of this worker's handlers."""

    @property
    def _consent_ttl_ms(self) -> int:
        return int(self.consent_retention_days * 86_400_000)

    def scope_of(self, service_sid: str | None, number: str, account_sid: str) -> str:
        """Return the scope to which opt-outs and unreachable senders belong (facts 8).

        It is the Service, else the number alone. Where Twilio names no Service, it is the one whose pool
        contains the number, which is one of ours. Where the Service or the number belongs to another account
        than the message, the scope is one of the message's account alone.
        """
        if self.tenancy is not None and self.tenancy.is_foreign(account_sid, service_sid, number):
            return f"{account_sid}/{number}"
        if service_sid is not None:
            return service_sid
        pool = self.pool_for(None, number, account_sid)
        return pool.service_sid if pool is not None else number

    def owner_of(self, number: str) -> str | None:
        """Return the account of a number, where there are several."""
        return self.tenancy.numbers.get(number) if self.tenancy is not None else None

    def is_own_number(self, number: str, account_sid: str) -> bool:
        """Return whether a number is a sender of any of our accounts."""
        return self.scope_of(None, number, account_sid) != number

    def facts(self, scope: str, contact: str, fields: ContactFields, stored: bool) -> RecipientFacts:
        """Return the facts about a contact from the stored fields that a claim has returned.

        ``stored`` is False if Redis was unavailable, so that absent fields prove nothing.
        """
        if fields is not None:
            parsed = parse_contact(fields)
            # Redis has set the times of the data; this worker's clock may be behind.
            facts = parsed.facts(self.table, max(self.now(), parsed.newest))
            if facts.opted_out:
                order = parsed.opted_out.order if parsed.opted_out is not None else 0
                self.opted_out.apply((scope, contact), ConsentChange(is_opted_out=True, at=order))
                return facts
        else:
            facts = NO_FACTS
        if self.opted_out and (scope, contact) in self.opted_out:
            return _UNPROVED if stored and not self.writer.has_backlog else _OPTED_OUT
        return facts

    async def prove(self, facts: RecipientFacts, scope: str, contact: str) -> RecipientFacts:
        """Return facts as they are, unless this worker knows of an opt-out that Redis does not have.

        Absence proves nothing: Redis may have lost its data. Either Redis has the contact's START, which ends
        the opt-out, or it gets the opt-out back.
        """
        at = self.opted_out.stops.get((scope, contact))
        if facts is not _UNPROVED or at is None:
            return facts
        call = restore_call("stop", (scope, contact), at, self.table.max_ttl_ms, self._consent_ttl_ms)
        try:
            is_restored, is_opted_out, at = await self.store.run(call)
            self.opted_out.apply((scope, contact), ConsentChange(bool(is_opted_out), at))
            if is_restored:
                self.opted_out.differs_from_redis.set()
            return _OPTED_OUT if is_opted_out else await self.facts_now(scope, contact)
        except StoreUnavailableError:
            return _OPTED_OUT

    async def get(self, scope: str, contact: str) -> Contact:
        """Return what is stored of a contact."""
        fields = await self._read(scope, contact)
        return parse_contact(fields) if fields is not None else UNKNOWN

    async def facts_now(self, scope: str, contact: str) -> RecipientFacts:
        """Return the current facts about a contact."""
        facts = self.facts(scope, contact, await self._read(scope, contact), stored=True)
        return await self.prove(facts, scope, contact)

    async def _read(self, scope: str, contact: str) -> ContactFields:
        return await self.store.run(scripts.get_contact(scope=scope, contact=contact)) or None

    def is_opted_out_cached(self, scope: str, contact: str) -> bool:
        """Return whether this worker's cache has the contact on the opt-out list."""
        return self.opted_out.stops.get((scope, contact)) is not None  # for every message: one call

    async def change_consent(
        self,
        scope: str,
        contact: str,
        evidence: Evidence,
        reference: str | None = None,
        at: int | None = None,
    ) -> None:
        """Put a contact on the opt-out list, or take them off it.

        Args:
            scope: that of `scope_of`.
            contact: the number.
            evidence: a STOP or START, which is kept in the contact's ledger.
            reference: the message with the keyword, whose time of arrival counts; None for now.
            at: that time in milliseconds since the epoch, for the case that Redis has lost the message.

        """
        if self.suspected:  # the contact has decided
            await self._change_suspected(f"{scope} {contact}", "")
        key, is_stop, now = (scope, contact), evidence.event is Event.STOP, self.now()
        at = at or now
        order = self.opted_out.order_of(key, is_stop, at, now)
        self.opted_out.apply(key, ConsentChange(is_stop, order, is_local=True))
        ttls = self.table.max_ttl_ms, self._consent_ttl_ms
        call = evidence.change_call(scope, contact, at, self.events, *ttls, reference, order)
        result = await self.writer.write(call)
        if result is not None:
            _, is_opted_out, order = result
            self.opted_out.apply(key, ConsentChange(bool(is_opted_out), order))
            return
        # Redis may be too full to store the change and still publish it; if it is down, it does neither.
        entry = f"{evidence.id_at(at)} {at} {evidence.to_json()}"
        call = scripts.publish(
            key=bucket_of(contact).contact(scope, contact),
            channel=CONSENTS_CHANNEL,
            payload=f"{evidence.event} {order} {scope} {contact} {entry}",
        )
        with contextlib.suppress(StoreUnavailableError):
            await self.store.run(call, PUBLISH_TIMEOUT)

    async def profile_of(self, message: InboundMessage) -> str:
        """Return what handlers have stored of the contact of a message."""
        scope = self.scope_of(message.service_sid, message.recipient, message.account_sid)
        return (await self.get(scope, message.contact)).profile

    async def change_profile(self, message: InboundMessage, changes: Mapping[str, str | bool]) -> None:
        """Store what a handler has set of the contact of a message."""
        call = scripts.store_profile(
            scope=self.scope_of(message.service_sid, message.recipient, message.account_sid),
            contact=message.contact,
            changes=json.dumps(changes),
            max_size=MAX_PROFILE_BYTES,
            ttl_ms=self.table.max_ttl_ms,
        )
        await self.writer.write(call)

    async def record_refusal(self, scope: str, contact: str, evidence: Evidence) -> None:
        """Keep in a contact's ledger that a message was not sent, because they have opted out."""
        await self.writer.write(evidence.entry_call(scope, contact, self.now(), self._consent_ttl_ms))

    async def raise_event(
        self, kind: str, scope: str, contact: str, unique: str, at: int | None = None, **more: str
    ) -> None:
        """Store an event, where a handler takes it; the arguments are those of `EventRecorder.record`."""
        raised = self.events.record(kind, scope, contact, unique, at or self.now(), **more)
        if raised is not scripts.NO_EVENT:
            await self.writer.write(scripts.raise_event(contact=contact, raised=raised))

    async def suspect(self, scope: str, contact: str, reference: str) -> None:
        """List a contact whose message may be meant as an opt-out, for an operator to decide."""
        await self._change_suspected(f"{scope} {contact}", f"{self.now()} {reference}")

    async def _change_suspected(self, suspect: str, entry: str) -> None:
        call = scripts.change_suspected(suspect=suspect, entry=entry, max_size=MAX_SUSPECTED)
        size = await self.writer.write(call)
        self.suspected = size if isinstance(size, int) else self.suspected

    async def count_suspected(self) -> None:
        with contextlib.suppress(StoreUnavailableError):
            call = scripts.change_suspected(suspect="", entry="", max_size=MAX_SUSPECTED)
            self.suspected = await self.store.run(call)

    def now(self) -> int:
        """Return the time in milliseconds since the epoch."""
        return int(self.clock() * 1000)
