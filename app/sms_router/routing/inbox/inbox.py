"""The answer record: one message, one answer, no matter who asks or where (design 2).

A message is claimed once, journaled in the same step, and answered once; its answer is stored before
it is sent. This file speaks of claims and answers; what is kept where, and what happens without
Redis, is decided here and nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from sms_router.routing.inbox.answer import RELEASED, Answer, JournalEntry, MessageKey, Outcome
from sms_router.routing.inbox.answer_cache import AnswerCache
from sms_router.routing.inbox.claim import Claimed, ClaimResult, PreparedAnswer, claim_script, parse_claim
from sms_router.routing.inbox.commit import CommitResult, Continuation, ConversationUpdate, commit_script
from sms_router.routing.inbox.leases import LeaseRenewer
from sms_router.routing.inbox.loop_guard import LimitExceeded, ReplyCounter
from sms_router.routing.inbox.waiters import AnswerWaiters
from sms_router.store.connection import Argument, encode
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.keys import ANSWERED_CHANNEL, bucket_of
from sms_router.store.scripts import NOTE, PACE, RELEASE, Script
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.store import Store

LEASE = 3.0
"""Seconds that a claim lives without being renewed (design 2)."""

STORE_BUDGET = 0.2
"""Seconds that one message may wait for Redis in all, and the store's look every 50 ms may add one of them;
then it is answered from memory. Together they stay below the 300 ms that were promised (design 11)."""


class Inbox:
    """Claims and answers of one worker, over Redis, with this worker's memory beside it."""

    def __init__(
        self,
        store: Store,
        journal: DurableWriter,
        retention_days: float,
        lease: float = LEASE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Keep records for ``retention_days``; a claim lives ``lease`` seconds without being renewed.

        ``clock`` is in seconds since the epoch.
        """
        self._store = store
        self._journal = journal
        self._clock = clock
        self._retention = int(retention_days * 86_400_000)
        self.owner = uuid4().hex[:12].encode()
        """What this worker is called in its claims."""
        self._leases = LeaseRenewer(store, self.owner, lease)
        self._terms = (self.owner, b"%d" % self._leases.milliseconds, b"%d" % self._retention)
        """What every opening is told, as Redis reads it."""
        self._waiters = AnswerWaiters()
        self._remembered = AnswerCache()

    async def start(self) -> None:
        """Begin to renew leases."""
        await self._leases.start()

    async def aclose(self) -> None:
        """Stop renewing."""
        await self._leases.aclose()

    @property
    def lease(self) -> int:
        """How long a claim lives without being renewed, in milliseconds."""
        return self._leases.milliseconds

    def cached_answer(self, key: MessageKey) -> Answer | None:
        """Return the answer that this worker has given already, if it still knows."""
        return self._remembered.answer(key.reference)

    async def claim(
        self,
        key: MessageKey,
        request: bytes,
        fallback: bool,
        scope: str = "",
        *,
        in_turn: bool = False,
        ready: PreparedAnswer | None = None,
    ) -> ClaimResult:
        """Claim the message, or learn who has it or what its answer is.

        ``request`` is journaled as it came; ``fallback`` tells that Twilio's fallback asks; ``scope``
        is where the person's facts belong (`people.scope_of`). ``in_turn`` waits for the person's
        earlier messages, and brings what is kept of their conversation. Where the answer is ``ready``
        and stands, it is stored in the same step, and is what comes back; it never is in turn.
        """
        bucket = bucket_of(key.person)
        record = bucket.message(key.reference)
        script, keys, arguments = claim_script(
            (record, bucket.journal, bucket.person(scope, key.person)),
            (*self._terms, key.reference, request, b"1" if fallback else b"0"),
            bucket.conversation(scope, key.person) if in_turn else None,
            ready,
        )
        while True:
            words, asked = self._waiters.notifications, time.monotonic()
            try:
                found = await self._store.run(script, keys, arguments)
            except StoreUnavailableError:
                if not fallback and self._remembered.was_released(key.reference):
                    return RELEASED
                return Claimed(1, time.monotonic() - asked, stored=False)
            opened = parse_claim(found, asked, ready)
            if isinstance(opened, Answer):
                return opened if opened is RELEASED else self._remembered.keep(key.reference, opened)
            if isinstance(opened, Claimed):
                self._leases.add(key.reference, record, asked)
                return opened
            if not self._waiters.notified_since(opened.behind or key.reference, words):
                return opened
            # The word that it is answered has overtaken "busy": it would be waited for in vain.

    async def commit(
        self,
        key: MessageKey,
        request: bytes,
        claim: Claimed,
        answer: Answer,
        story: JournalEntry,
        going_on: Continuation | None = None,
        meter: ReplyCounter | None = None,
        turn: ConversationUpdate | None = None,
    ) -> Answer | LimitExceeded:
        """Store the answer before it is sent; return it, or the one that was there first.

        With ``going_on`` the claim stays with the worker that still works on the message. With a
        ``meter`` the answer is counted, and one too many is not stored; the claim is still ours. With a
        ``turn``, what the message has made of the person's conversation is kept in the same step.
        """
        bucket = bucket_of(key.person)
        keys: tuple[bytes, ...] = (
            bucket.message(key.reference),
            bucket.journal,
            bucket.dead_letters,
            bucket.outbox,
        )
        arguments = (
            key.reference,
            answer.document,
            answer.outcome,
            encode(story.text),
            self._retention,
            encode(story.cause),
            ANSWERED_CHANNEL,
            going_on.entry if going_on is not None else b"",
            self.owner if going_on is not None and going_on.ours else b"",
            self._leases.milliseconds,
        )
        script, keys, more = commit_script(keys, meter, turn)
        found = (
            await self._run_commit(script, keys, arguments, request, more, claim) if claim.stored else None
        )
        if found is not None and found[0] == CommitResult.TOO_MANY:
            return LimitExceeded(found[1])
        self._leases.discard(key.reference)
        if found is None:
            script, keys, more = commit_script(keys[:4], None, turn)
            whole = (*arguments, *self._as_received(request), *more)
            self._journal.spool(script, keys, whole, begins=going_on is not None)
        elif found[0] == CommitResult.OTHERS_ANSWER:
            answer = Answer(found[1], Outcome(found[2].decode()))
        return self._remembered.keep(key.reference, answer)

    async def _run_commit(
        self,
        script: Script,
        keys: tuple[bytes, ...],
        arguments: tuple[Argument, ...],
        request: bytes,
        more: tuple[Argument, ...],
        claim: Claimed,
    ) -> Sequence[Any] | None:
        """Run a commit in the time that is left; where the record is lost, once more with the request.

        Returns None when Redis does not serve.
        """
        patience = STORE_BUDGET - claim.spent
        try:
            found: Sequence[Any] = await self._store.run(
                script, keys, (*arguments, b"", b"", *more), patience
            )
            if found[0] == CommitResult.RECORD_LOST:
                whole = (*arguments, *self._as_received(request), *more)
                found = await self._store.run(script, keys, whole, patience)
        except StoreUnavailableError:
            return None
        return found

    def _as_received(self, request: bytes) -> tuple[bytes, int]:
        """Return a message's request, and the time, for a record that does not have them."""
        return request, int(self._clock() * 1000)

    async def release(self, key: MessageKey, request: bytes, claim: Claimed, story: JournalEntry) -> None:
        """Give a failed message back, for Twilio's fallback request to take over.

        Where only this worker's memory knows of the claim, the fallback finds the message free anyway.
        """
        self._leases.discard(key.reference)
        bucket = bucket_of(key.person)
        keys = (bucket.message(key.reference), bucket.journal, bucket.dead_letters)
        arguments = (
            key.reference,
            encode(story.text),
            self._retention,
            encode(story.cause),
            ANSWERED_CHANNEL,
            *self._as_received(request),
        )
        self._remembered.release(key.reference)
        if claim.stored:
            await self._journal.write(RELEASE, keys, arguments)
        else:
            self._journal.spool(RELEASE, keys, arguments)

    async def count_reply(self, meter: ReplyCounter) -> LimitExceeded | None:
        """Count a reply that leaves later; nobody counts while Redis is away."""
        try:
            over = await self._store.run(PACE, (meter.key,), meter.pace)
        except StoreUnavailableError:
            return None
        return LimitExceeded(over) if over else None

    async def annotate(self, key: MessageKey, field: str, text: str, cause: str = "") -> None:
        """Write down what became of an answered message; with a ``cause`` it is a dead letter."""
        bucket = bucket_of(key.person)
        keys = (bucket.message(key.reference), bucket.dead_letters)
        arguments = (key.reference, field, encode(text), self._retention, encode(cause))
        await self._journal.write(NOTE, keys, arguments)

    def keep_renewing(self, key: MessageKey) -> None:
        """Renew the claim from now on, for work that goes on after its answer."""
        record = bucket_of(key.person).message(key.reference)
        self._leases.add(key.reference, record, time.monotonic())

    def stop_renewing(self, key: MessageKey) -> None:
        """Stop renewing the claim, whatever became of it."""
        self._leases.discard(key.reference)

    async def answered(self, key: MessageKey, seconds: float) -> None:
        """Wait until somebody says that the message is answered, ``seconds`` at the most."""
        await self._waiters.wait(key.reference, seconds)

    def wake(self, reference: str) -> None:
        """Wake those who wait for a message; called for what is published."""
        self._waiters.wake(reference)
