"""The inbox: each message is claimed once, journaled in the same step, and answered once.

An answer is stored before it is sent. `Inbox` alone decides what is stored where, and what happens while
Redis does not serve.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple
from uuid import uuid4

from sms_router.routing.contacts.contact import ContactFields
from sms_router.routing.handler.conversation import StoredConversation
from sms_router.routing.handler.running_handlers import RunningHandlers
from sms_router.routing.inbox.answer import RELEASED, Answer, JournalEntry, MessageKey, Outcome
from sms_router.routing.inbox.contact_turns import ContactTurns
from sms_router.routing.inbox.leases import Lease, LeaseRenewer
from sms_router.routing.inbox.loop_guard import LimitExceeded, ReplyCounter
from sms_router.routing.inbox.waiters import AnswerWaiters
from sms_router.senders.models import Decision
from sms_router.store import scripts
from sms_router.store.connection import RedisReply, encode
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.keys import bucket_of
from sms_router.store.server_clock import ServerClock
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.store import Store

LEASE = 3.0
"""Seconds that a claim holds without being renewed."""

STORE_BUDGET = 0.2
"""Seconds that one message may wait for Redis in all; the store's check every 50 ms may add one interval.
Then it is answered from memory. Together they stay below the 300 ms that an outage of Redis may cost."""

MAX_CACHED_ANSWERS = 10_000
MAX_CACHED_ANSWER_BYTES = 4096


class PreparedAnswer(NamedTuple):
    """An answer composed before its message is claimed; it is valid if Redis has nothing of the contact."""

    answer: Answer
    trail_text: str
    counter: ReplyCounter | None
    """Where the reply is counted; None where replies are not."""
    decision: Decision | None
    """What the composer records once the answer is stored; the inbox does not use it."""


class Claimed(NamedTuple):
    """This worker is to answer the message."""

    attempt: int
    """Above 1 where an earlier worker was lost in the middle of it."""
    spent: float
    """Seconds that the claim took; they count against the message's `STORE_BUDGET`."""
    stored: bool
    """False while Redis does not serve: only this worker's memory has the claim."""
    contact: ContactFields = None
    conversation: StoredConversation | None = None
    arrived: int | None = None
    """When the webhook came, in milliseconds since the epoch by the workers' common clock."""
    lease: Lease | None = None
    """Renewed until the commit, or until `Inbox.let_go`; None where another request holds the claim."""


@dataclass(frozen=True, slots=True)
class InProgress:
    """Another request is to answer the message, in this worker or in another one."""

    remaining: float
    """Seconds until their lease expires."""
    contact: ContactFields = None
    behind: str | None = None
    """The reference of the contact's earlier message that has to be answered first."""
    stored: bool = True
    """False while Redis does not serve: only this worker's memory has the claim."""


ClaimResult = Claimed | InProgress | Answer


class Continuation(NamedTuple):
    """Work that goes on after an empty answer; the outbox has an entry for it."""

    entry: bytes
    is_ours: bool
    """False where another worker does it, and this one only answers at its own deadline."""


class NotCounted(NamedTuple):
    """A reply is not stored, because Redis did not count it; a claim that is not stored commits it."""


class ConversationUpdate(NamedTuple):
    """What a message makes of the contact's conversation; the next message's turn comes with it."""

    key: bytes
    stored: bytes
    """As the scripts take it (`routing.handler.conversation`)."""
    ttl: int
    """Milliseconds that the conversation lasts."""
    expired_ttl: int
    """Milliseconds until it is deleted; longer than ``ttl`` where an expiry has a reply."""
    timer: bytes = b""
    """Its entry among the events, where a handler takes those of conversations that expire."""


class _CommitStatus(IntEnum):
    """The first value that the commit scripts return."""

    ANSWERED_BEFORE = 0
    STORED = 1
    RECORD_LOST = 2
    LIMIT_EXCEEDED = 3
    SECOND_ANSWER = 4
    """As `ANSWERED_BEFORE`, for an answer from the spool that differs from the stored one."""


def is_second_answer(script: str, result: RedisReply) -> bool:
    """Return whether a script from the spool has recorded a second answer of a message."""
    return script.startswith("commit") and bool(result[0] == _CommitStatus.SECOND_ANSWER)


class Inbox:
    """The claims and answers of one worker, in Redis and in its memory."""

    def __init__(
        self,
        store: Store,
        journal: DurableWriter,
        retention_days: float,
        lease: float = LEASE,
        clock: ServerClock | None = None,
        running_handlers: RunningHandlers | None = None,
    ) -> None:
        """Create the inbox.

        Args:
            store: runs the scripts.
            journal: takes what has to be written while Redis does not serve.
            retention_days: how long records are kept.
            lease: seconds that a claim holds without being renewed.
            clock: the time by Redis' clock; without it, by the wall clock of now and the monotonic clock.
            running_handlers: are named when the event loop was late.

        """
        self._store = store
        self._journal = journal
        self._clock = clock or ServerClock(store)
        self._retention_ms = b"%d" % (retention_days * 86_400_000)
        self.owner = uuid4().hex[:12].encode()
        """This worker's name in its claims."""
        self._leases = LeaseRenewer(store, self.owner, lease, running_handlers or RunningHandlers())
        self._lease_ms = b"%d" % self._leases.milliseconds
        self._waiters = AnswerWaiters()
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._released: OrderedDict[str, None] = OrderedDict()
        self._turns = ContactTurns(store)

    def start(self) -> None:
        self._leases.start()

    async def aclose(self) -> None:
        await self._leases.aclose()

    @property
    def lease(self) -> int:
        """Milliseconds that a claim holds without being renewed."""
        return self._leases.milliseconds

    def cached_answer(self, key: MessageKey) -> Answer | None:
        """Return the answer where this worker has given or seen it lately."""
        return self._answers.get(key.reference)

    async def claim(  # noqa: PLR0912 - inlined, because each message takes it
        self,
        key: MessageKey,
        request: bytes,
        fallback: bool,
        scope: str = "",
        *,
        in_turn: bool = False,
        prepared: PreparedAnswer | None = None,
        waiting_since: float | None = None,
    ) -> ClaimResult:
        """Claim a message, or return who has claimed it, or its answer.

        A message whose claim another request of this worker holds is in progress, whatever became of the
        lease in Redis.

        Args:
            key: of the message.
            request: its parameters as received, for the journal.
            fallback: whether this is Twilio's fallback request.
            scope: where the contact's facts belong (`Contacts.scope_of`).
            in_turn: whether the contact's earlier messages are answered first; the claim then brings the
                contact's conversation.
            prepared: stored in the same step, and returned as its very ``answer``, where the message is new
                and Redis knows nothing of the contact. Never together with ``in_turn``.
            waiting_since: when the webhook came, by the monotonic clock; now if it is not given.

        """
        arrived = int((self._clock.offset + (waiting_since or time.monotonic())) * 1000)
        call = scripts.claim(
            scope=scope,
            contact=key.contact,
            owner=self.owner,
            lease_ms=self._lease_ms,
            retention_ms=self._retention_ms,
            reference=key.reference,
            request=request,
            is_fallback=b"1" if fallback else b"0",
            arrived=b"%d" % arrived,
            in_conversation=in_turn,
        )
        if prepared is not None:
            (document, outcome), trail_text, counter, _ = prepared
            call = scripts.claim_prepared(
                call, answer=document, outcome=outcome.encode(), trail=encode(trail_text), counter=counter
            )
        running = self._turns.running
        while True:
            notifications, started = self._waiters.notifications, time.monotonic()
            try:
                run: Awaitable[RedisReply]
                if key.contact in running:
                    await self._turns.take(key.contact)
                    started, run = time.monotonic(), self._turns.run(key.contact, call)
                else:
                    running[key.contact] = 1
                    run = self._store.run(call)
                try:
                    result = await run
                finally:
                    if running[key.contact] == 1:
                        del running[key.contact]
                    else:
                        self._turns.end(key.contact)
            except StoreUnavailableError:
                if not fallback and key.reference in self._released:
                    return RELEASED
                own = Claimed(1, time.monotonic() - started, stored=False, arrived=arrived)
                return self._hold(key.reference, call[1][0], own, started)
            if prepared is not None and result[0] == b"stored":
                return self._cache(key.reference, prepared.answer)
            claim = _parse_claim(result, started)
            if isinstance(claim, Claimed):
                return self._hold(key.reference, call[1][0], claim._replace(arrived=arrived), started)
            if isinstance(claim, Answer):
                return claim if claim is RELEASED else self._cache(key.reference, claim)
            if not self._waiters.notified_since(claim.behind or key.reference, notifications):
                return claim
            # The notification of the answer arrived before the 'in progress' result: claim again, not wait.

    def _hold(self, reference: str, record: bytes, claim: Claimed, since: float) -> ClaimResult:
        """Renew a claim from now on, unless another request of this worker holds it.

        One that is not stored is renewed too: Redis may have run the script and only been late.
        """
        if self._leases.is_held(reference):
            return InProgress(self._leases.milliseconds / 1000, claim.contact, stored=claim.stored)
        return claim._replace(lease=self._leases.add(reference, record, since))

    async def commit(
        self,
        key: MessageKey,
        request: bytes,
        claim: Claimed,
        answer: Answer,
        entry: JournalEntry,
        continuation: Continuation | None = None,
        counter: ReplyCounter | None = None,
        update: ConversationUpdate | None = None,
    ) -> Answer | LimitExceeded | NotCounted:
        """Store an answer before it is sent; return it, or the one that was stored first.

        Args:
            key: of the message.
            request: its parameters as received, for a record that Redis has lost.
            claim: what `claim` returned.
            answer: what is to be stored.
            entry: journaled with the answer.
            continuation: work that goes on after the answer; who goes on calls `keep_renewing`.
            counter: counts the answer; one above the limit, or not counted, is not stored, and the claim
                still holds.
            update: stored in the same step.

        """
        earlier = self._answers.get(key.reference)
        if earlier is not None:
            self.let_go(claim)
            return earlier
        call = scripts.commit(
            contact=key.contact,
            reference=key.reference,
            answer=answer.document,
            outcome=answer.outcome.value,
            trail=encode(entry.trail_text),
            retention_ms=self._retention_ms,
            cause=encode(entry.cause) if entry.cause else b"",
            work=continuation.entry if continuation is not None else b"",
            owner=self.owner if continuation is not None and continuation.is_ours else b"",
            lease_ms=self._lease_ms,
            counter=counter,
        )
        if update is not None:
            call = scripts.update_conversation(
                call,
                conversation=update.key,
                state=update.stored,
                valid_ms=update.ttl,
                ttl_ms=update.expired_ttl,
                timer=update.timer,
            )
        result = None
        if claim.stored:
            result = await self._run_commit(key.contact, call, request, claim, is_counted=counter is not None)
            if result is not None and result[0] == _CommitStatus.LIMIT_EXCEEDED:
                return LimitExceeded(is_first=result[1] == 1)
            if result is None and counter is not None and answer.outcome is not Outcome.MUTED:
                return NotCounted()
        self.let_go(claim)
        if result is None:
            earlier = self._answers.get(key.reference)
            if earlier is not None:
                return earlier
            received = claim.arrived or self._now()
            call = scripts.spooled(call, request=request, received=received, given=self._now())
            self._journal.spool(call, begins=continuation is not None)
        elif result[0] == _CommitStatus.ANSWERED_BEFORE:
            answer = Answer(result[1], Outcome(result[2].decode()))
        return self._cache(key.reference, answer)

    async def _run_commit(
        self, contact: str, call: scripts.Call, request: bytes, claim: Claimed, *, is_counted: bool
    ) -> Sequence[Any] | None:
        """Run a commit in what is left of the budget, once more with the request where the record is lost.

        One that is counted may take longer, as long as Redis serves. Returns None where Redis does not serve.
        """
        timeout = None if is_counted else STORE_BUDGET - claim.spent
        try:
            await self._turns.take(contact)
            try:
                result: Sequence[Any] = await self._turns.run(contact, call, timeout)
                if result[0] == _CommitStatus.RECORD_LOST:
                    received = claim.arrived or self._now()
                    call = scripts.with_request(call, request=request, received=received)
                    result = await self._store.run(call, timeout)
            finally:
                self._turns.end(contact)
        except StoreUnavailableError:
            return None
        return result

    def _now(self) -> int:
        return int(self._clock() * 1000)

    async def release(self, key: MessageKey, request: bytes, claim: Claimed, entry: JournalEntry) -> None:
        """Release the claim on a message whose handler failed, so that Twilio's fallback request answers it.

        Where only this worker's memory has the claim, the fallback request finds the message unclaimed.
        """
        self.let_go(claim)
        call = scripts.release(
            contact=key.contact,
            reference=key.reference,
            trail=encode(entry.trail_text),
            retention_ms=self._retention_ms,
            cause=encode(entry.cause),
            request=request,
            received=claim.arrived or self._now(),
        )
        self._released[key.reference] = None
        if len(self._released) > MAX_CACHED_ANSWERS:
            self._released.popitem(last=False)
        if claim.stored:
            await self._journal.write(call)
        else:
            self._journal.spool(call)

    def is_released(self, key: MessageKey) -> bool:
        """Return whether this worker has released a message; Redis has it for every worker."""
        return key.reference in self._released

    async def count_reply(self, counter: ReplyCounter) -> LimitExceeded | None:
        """Count a late reply; it is not counted while Redis does not serve."""
        try:
            excess = await self._store.run(scripts.count_reply(counter=counter))
        except StoreUnavailableError:
            return None
        return LimitExceeded(is_first=excess == 1) if excess else None

    async def annotate(self, key: MessageKey, field: str, text: str, cause: str = "") -> None:
        """Add a field to the record of an answered message; with a ``cause`` it becomes a dead letter."""
        call = scripts.annotate(
            contact=key.contact,
            reference=key.reference,
            field=field,
            text=encode(text),
            retention_ms=self._retention_ms,
            cause=encode(cause),
        )
        await self._journal.write(call)

    def keep_renewing(self, key: MessageKey) -> Lease:
        """Renew the claim from the next interval on, for work that goes on after the answer."""
        record = bucket_of(key.contact).message(key.reference)
        return self._leases.add(key.reference, record, -math.inf)

    def stop_renewing(self, lease: Lease) -> None:
        self._leases.discard(lease)

    def let_go(self, claim: Claimed) -> None:
        """Stop renewing a claim; only its holder's ``claim`` has a lease."""
        if claim.lease is not None:
            self._leases.discard(claim.lease)

    def is_held(self, key: MessageKey) -> bool:
        """Return whether a request or a late handler of this worker holds the claim on a message."""
        return self._leases.is_held(key.reference)

    async def wait_until_answered(self, key: MessageKey, seconds: float) -> None:
        """Wait until another worker publishes that the message is answered, ``seconds`` at most."""
        await self._waiters.wait(key.reference, seconds)

    def wake(self, reference: str) -> None:
        """Wake the requests that wait for a message; called with what other workers publish."""
        self._waiters.wake(reference)

    def _cache(self, reference: str, answer: Answer) -> Answer:
        if len(answer.document) <= MAX_CACHED_ANSWER_BYTES:
            self._answers[reference] = answer
            if len(self._answers) > MAX_CACHED_ANSWERS:
                self._answers.popitem(last=False)
        return answer


def _parse_claim(result: Sequence[Any], started: float) -> ClaimResult:
    match result:
        case [b"claimed", attempt, *more]:
            contact, *stored = more or (None,)
            conversation = StoredConversation.parse(*stored) if stored else None
            return Claimed(attempt, time.monotonic() - started, True, contact or None, conversation)
        case [b"in_progress", remaining, *contact]:
            return InProgress(remaining / 1000, contact[0] if contact else None)
        case [b"locked", remaining, behind]:
            return InProgress(remaining / 1000, behind=behind.decode())
        case [b"answered", document, outcome]:
            return Answer(document, Outcome(outcome.decode()))
    return RELEASED
