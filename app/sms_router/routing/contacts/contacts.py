"""What is known about people: asked before anything is sent, and changed when they opt out or come back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from sms_router.routing.contacts.contact import UNKNOWN, Contact, ContactFields, parse_contact
from sms_router.routing.opt_outs.cache import OptOutCache
from sms_router.senders.error_table import ErrorTable
from sms_router.senders.models import NO_FACTS, RecipientFacts
from sms_router.senders.pool import PoolFinder
from sms_router.store import scripts
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.keys import CONSENTS_CHANNEL, bucket_of
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.store import Store

PUBLISH_TIMEOUT = 0.1
"""Seconds that an answer waits for other workers to hear of an opt-out, where Redis cannot keep it."""

_OPTED_OUT = RecipientFacts(opted_out=True)


class Contacts:
    """The facts of one worker, over Redis, with a copy of the opt-outs beside it."""

    def __init__(
        self,
        store: Store,
        journal: DurableWriter,
        pool_for: PoolFinder,
        table: ErrorTable,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock`` is in seconds since the epoch."""
        self._store = store
        self._journal = journal
        self._pool_for = pool_for
        self._clock = clock
        self.opted_out = OptOutCache()
        self.table = table

    def scope_of(self, service_sid: str | None, number: str) -> str:
        """Return what opt-outs and beliefs belong to: the Service, else the number alone (facts 8).

        ``number`` is ours; where Twilio names no Service, it is the one whose pool holds the number.
        """
        if service_sid is not None:
            return service_sid
        pool = self._pool_for(None, number)
        return pool.service_sid if pool is not None else number

    def facts(self, scope: str, person: str, known: ContactFields, stored: bool) -> RecipientFacts:
        """Return the facts that came with a claim; ``stored`` is False when Redis is away."""
        if known is not None:
            kept = parse_contact(known)
            # Redis dates what people have said; this worker's clock may be behind it.
            facts = kept.facts(self.table, max(self.now(), kept.newest))
            if facts.opted_out:
                self.opted_out.remember(scope, person)
                return facts
        else:
            facts = NO_FACTS
        if self.opted_out and (scope, person) in self.opted_out:
            if not stored or self._journal.has_backlog:
                return _OPTED_OUT
            self.opted_out.forget(scope, person)  # they have come back, by another worker
        return facts

    async def get(self, scope: str, person: str) -> Contact:
        """Return what is kept about a person now.

        Raises:
            StoreUnavailableError: when it cannot be known.

        """
        known = await self._kept(scope, person)
        return parse_contact(known) if known is not None else UNKNOWN

    async def facts_now(self, scope: str, person: str) -> RecipientFacts:
        """Return the facts as they are now.

        Raises:
            StoreUnavailableError: when they cannot be known; then nothing may be sent.

        """
        return self.facts(scope, person, await self._kept(scope, person), stored=True)

    async def _kept(self, scope: str, person: str) -> ContactFields:
        return await self._store.run(scripts.get_contact(scope=scope, contact=person)) or None

    def is_opted_out_cached(self, scope: str, person: str) -> bool:
        """Tell whether this worker has heard that the person opted out."""
        return (scope, person) in self.opted_out

    async def opt_out(self, scope: str, person: str, source: str, reference: str | None = None) -> None:
        """Put a person on the list, by the time of the message that said so, else from now on."""
        self.opted_out.record_local(f"stop {scope} {person}")
        await self._consent("stop", scope, person, source, reference)

    async def opt_in(self, scope: str, person: str, source: str, reference: str | None = None) -> None:
        """Take a person off the list."""
        self.opted_out.record_local(f"start {scope} {person}")
        await self._consent("start", scope, person, source, reference)

    async def _consent(self, wish: str, scope: str, person: str, source: str, reference: str | None) -> None:
        call = scripts.change_consent(
            scope=scope,
            contact=person,
            message=reference,
            request=wish,
            source=source,
            requested_at=self.now(),
            ttl_ms=self.table.max_ttl_ms,
        )
        if await self._journal.write(call) is None:
            # Redis may be too full to store it and still publish it; one that is away does neither.
            key = bucket_of(person).contact(scope, person)
            call = scripts.publish(key=key, channel=CONSENTS_CHANNEL, payload=f"{wish} {scope} {person}")
            with contextlib.suppress(StoreUnavailableError):
                await self._store.run(call, PUBLISH_TIMEOUT)

    def now(self) -> int:
        """Return the time in milliseconds since the epoch."""
        return int(self._clock() * 1000)
