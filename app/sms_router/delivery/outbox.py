"""The outbox in Redis: messages that leave through Twilio's REST API, and work that is not finished.

Each bucket of contacts has one sorted set, ordered by when an entry is due. A worker that leases an entry
makes it due later, so that the entries of a lost worker become due again. A message is marked before it is
sent, and the mark is removed only when Twilio has certainly not processed it: it is sent at most once, also
in a crash.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from uuid import uuid4

from sms_router.delivery.entry import MessagePart, OutboxEntry, ReplyKind
from sms_router.delivery.message import (
    FINAL_STATES,
    Accepted,
    Cancelled,
    OutboundSms,
    Rejected,
    SendLease,
    SendState,
    Unknown,
)
from sms_router.store.connection import encode
from sms_router.store.errors import ScriptFailedError, StoreUnavailableError
from sms_router.store.keys import Bucket
from sms_router.store.scripts import NO_EVENT, RaisedEvent, update_conversation
from sms_router.store.scripts import outbox as scripts
from sms_router.store.server_clock import ServerClock
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.store import Store
from sms_router.twilio.twiml import EMPTY

log = logging.getLogger("sms_router.delivery")

SENDING_TIMEOUT = 180.0
"""Seconds after which a message that is being sent counts as lost with its worker: longer than any call."""

LEASE = 15.0
"""Seconds after which another worker may lease an entry that was leased and not marked."""

EVENT_LEASE = 120.0
"""Seconds after which another worker may handle an event: longer than its handlers take."""

MAX_WAIT = SENDING_TIMEOUT + 60.0
"""Seconds until an entry is due; a longer wait means that the clock of Redis was set back."""

MAX_ATTEMPTS = 3
"""Runs of a handler whose worker was lost; one that kills its worker must not kill all workers."""

ConversationState = tuple[bytes | None, int | None]
"""The stored state of a conversation, and the milliseconds for which it is valid."""

ConversationChange = tuple[bytes, bytes, int, int, bytes]
"""Key, new state, milliseconds of validity and of storage, timer (`routing.inbox.ConversationUpdate`)."""

_RETAINED_FIELDS = ("reason", "failed_sender", "resend_of")
"""Fields of a waiting message that its result retains."""


class ClaimedWork(NamedTuple):
    """A message whose handler runs again; its reply leaves through the outbox."""

    attempt: int
    request: bytes
    """The parameters of the incoming message, as received."""
    contact_fields: list[bytes]
    """What is stored of the contact, as alternating names and values."""
    conversation: ConversationState = (None, None)


class ClaimedEvent(NamedTuple):
    """An event that this worker handles."""

    request: bytes
    attempt: int
    done: tuple[str, ...]
    """The handlers that have returned in earlier attempts."""


@dataclass(frozen=True, eq=False)
class Outbox:
    """The outbox of all workers.

    While Redis is unavailable, what `enqueue`, `schedule`, `finish_event`, `record_result` and `postpone`
    write waits on disk. All other methods raise `StoreUnavailableError`: nothing may be sent then, and what
    is leased is due again.
    """

    store: Store
    writer: DurableWriter
    """Keeps writes that must not be lost while Redis is unavailable."""
    retention_days: float
    max_age: float
    """Seconds after which a reply is no longer sent."""
    clock: ServerClock | None = None
    """Measures ages independently of changes of the clock of Redis."""

    @property
    def _retention_ms(self) -> int:
        return int(self.retention_days * 86_400_000)

    async def enqueue(
        self,
        entry: OutboxEntry,
        kind: ReplyKind,
        document: bytes,
        trail_text: str,
        count: int,
        reason: str,
        cause: str = "",
        conversation: ConversationChange | None = None,
        waiting_since: float | None = None,
        request: bytes = b"",
        *,
        is_leased: bool = False,
    ) -> bool:
        """Enqueue the messages of a reply and end the work ``entry``; a second call changes nothing.

        The document has ``count`` messages. With a ``cause`` the work has failed, and is a dead letter.
        ``conversation`` changes that of the contact in the same step. ``waiting_since`` is when the contact
        began to wait, by the monotonic clock; None when it is unknown. ``request`` are the parameters of a
        message with an empty answer, for a record that Redis has lost; without it the reply is a dead
        letter then. With ``is_leased`` this worker sends it at once, and no other one gets it for `LEASE`
        seconds.

        Returns whether they are enqueued in Redis; while it is unavailable they wait on disk.
        """
        since = await self._redis_time(waiting_since)
        call = scripts.enqueue(
            contact=entry.contact,
            reference=entry.reference,
            kind=kind.value,
            document=document,
            trail=encode(trail_text),
            reason=reason,
            work=entry.line,
            entry_suffix=entry.contact_suffix,
            count=count,
            retention_ms=self._retention_ms,
            cause=encode(cause),
            since=since,
            request=request,
            received=since or int(time.time() * 1000),
            empty_answer=EMPTY,
            delay_ms=int(LEASE * 1000) if is_leased else 0,
        )
        if conversation is not None:
            key, state, valid_ms, ttl_ms, timer = conversation
            call = update_conversation(
                call, conversation=key, state=state, valid_ms=valid_ms, ttl_ms=ttl_ms, timer=timer
            )
        return await self.writer.write(call) == 1

    async def schedule(
        self,
        entry: OutboxEntry,
        document: bytes,
        trail_text: str,
        count: int,
        reason: str,
        request: bytes,
        due: float,
    ) -> bool:
        """Store a message that is no reply until it is due; False where it was stored before.

        The reference of ``entry`` follows from what makes the message unique. ``request`` are the parameters
        under which it is stored; ``due`` is in seconds since the epoch.
        """
        call = scripts.schedule(
            contact=entry.contact,
            reference=entry.reference,
            document=document,
            trail=encode(trail_text),
            reason=reason,
            entry_suffix=entry.contact_suffix,
            count=count,
            due=int(due * 1000),
            retention_ms=self._retention_ms,
            request=request,
            empty_answer=EMPTY,
        )
        return await self.writer.write(call) != 0  # None: it waits on disk, and is stored later

    async def cancel(self, entry: OutboxEntry) -> bool:
        """Withdraw the messages that `schedule` has stored and that still wait; True where there were any."""
        suffix = entry.contact_suffix
        call = scripts.cancel(contact=entry.contact, reference=entry.reference, entry_suffix=suffix)
        return bool(await self.store.run(call))

    async def start_conversation(self, change: ConversationChange) -> None:
        """Begin a conversation with a message that leaves now."""
        key, state, valid_ms, ttl_ms, timer = change
        call = scripts.start_conversation(
            conversation=key, state=state, valid_ms=valid_ms, ttl_ms=ttl_ms, timer=timer
        )
        await self.store.run(call)

    async def lease_due(self, bucket: Bucket, count: int, event_count: int = 0) -> list[OutboxEntry]:
        """Return due entries, events last; no other worker gets them for `LEASE` seconds."""
        call = scripts.lease_due(
            bucket,
            lease_ms=int(LEASE * 1000),
            count=count,
            max_wait_ms=int(MAX_WAIT * 1000),
            retention_ms=self._retention_ms,
            event_count=event_count,
        )
        entries = []
        for line in await self.store.run(call):
            try:
                entries.append(OutboxEntry.read(line))
            except ValueError:
                log.error("an entry of the outbox cannot be decoded; a newer release may have written it")
        return entries

    async def claim(
        self,
        entry: OutboxEntry,
        kind: ReplyKind,
        owner: bytes,
        lease_ms: int,
        *,
        in_conversation: bool = False,
    ) -> ClaimedWork | None:
        """Claim work whose worker was lost; None when another worker has it or it is finished.

        With ``in_conversation`` it also waits for the contact's earlier messages, and gets the conversation.
        After ``lease_ms`` another worker may claim the work.
        """
        call = scripts.claim(
            scope=entry.scope,
            contact=entry.contact,
            entry=entry.line,
            reference=entry.reference,
            kind=kind.value,
            owner=owner,
            lease_ms=lease_ms,
            max_attempts=MAX_ATTEMPTS,
            max_age_ms=int(self.max_age * 1000),
            retention_ms=self._retention_ms,
            in_conversation=in_conversation,
        )
        match await self.store.run(call):
            case [b"claimed", attempt, request, contact_fields, state, valid_ms]:
                return ClaimedWork(attempt, request, contact_fields, (state, valid_ms))
            case [b"claimed", attempt, request, contact_fields, *_]:
                return ClaimedWork(attempt, request, contact_fields)
        return None

    async def release_work(self, entry: OutboxEntry, owner: bytes) -> None:
        """Release unfinished work to the other workers, because this one stops."""
        call = scripts.release(
            contact=entry.contact, reference=entry.reference, entry=entry.line, owner=owner, kind=entry.name
        )
        await self.store.run(call)

    async def claim_event(self, entry: OutboxEntry) -> ClaimedEvent | None:
        """Lease an event for `EVENT_LEASE` seconds; None where another worker has finished it."""
        call = scripts.claim_event(
            contact=entry.contact,
            reference=entry.reference,
            entry=entry.line,
            lease_ms=int(EVENT_LEASE * 1000),
        )
        found = await self.store.run(call)
        return ClaimedEvent(found[0], found[1], tuple(found[2].decode().split("\n"))) if found else None

    async def finish_event(
        self, entry: OutboxEntry, cause: str = "", done: Iterable[str] = (), delay: float | None = None
    ) -> None:
        """Delete an event; one with a ``cause`` has failed, and is handled again after the ``delay``."""
        call = scripts.finish_event(
            contact=entry.contact,
            entry=entry.line,
            reference=entry.reference,
            cause=encode(cause),
            done="\n".join(done),
            delay_ms=b"" if delay is None else int(delay * 1000),
            retention_ms=self._retention_ms,
        )
        await self.writer.write(call)

    async def expire_conversation(
        self, timer: OutboxEntry, expected: bytes = b"", raised: RaisedEvent = NO_EVENT
    ) -> bytes | None:
        """Return the state of the conversation whose timer is due, if it has expired.

        With that state as ``expected`` the conversation ends, and the event is raised.
        """
        call = scripts.expire_conversation(
            scope=timer.scope, contact=timer.contact, timer=timer.line, expected=expected, raised=raised
        )
        state: bytes | None = await self.store.run(call)
        return state

    async def mark_sending(self, entry: OutboxEntry, part: MessagePart) -> SendLease | Cancelled | None:
        """Check whether a message may be sent, and mark it as being sent; None when it may not be sent now.

        Every message of the outbox passes this check: the opt-out list, the receipt of the message that it
        repeats, its age, and the message before it.
        """
        mark = uuid4().hex[:12]
        before = part.before()
        call = scripts.mark_sending(
            scope=entry.scope,
            contact=entry.contact,
            entry=entry.line,
            reference=entry.reference,
            part=part.name,
            document_field=part.kind.value,
            max_age_ms=int(self.max_age * 1000),
            sending_ms=int(SENDING_TIMEOUT * 1000),
            retention_ms=self._retention_ms,
            mark=mark,
            lease_ms=int(LEASE * 1000),
            part_before=before.name if before is not None else "",
        )
        try:
            answer = await self.store.run(call)
        except ScriptFailedError:
            raise
        except StoreUnavailableError:
            await self.postpone(entry, part, 1.0, mark)  # it may be marked, and it was not sent
            raise
        match answer:
            case [b"go", request, document, state, contact_fields]:
                return SendLease(request, document, json.loads(state), contact_fields, mark)
            case [b"withdrawn" | b"unknown", reason]:
                return Cancelled(reason.decode(), dead_letter=True)
        return None

    async def record_result(
        self,
        entry: OutboxEntry,
        part: MessagePart,
        message: OutboundSms | None,
        result: Accepted | Rejected | Unknown | Cancelled,
        *,
        lease: SendLease,
        now: int,
        resend: OutboxEntry | None = None,
    ) -> None:
        """Record the result of a message.

        ``message`` is None when it was not sent; ``now`` is in milliseconds since the epoch. ``resend`` is
        enqueued in the same step, to send the message from another sender.
        """
        sid, cause = "", ""
        match result:
            case Accepted():
                sid = result.sid
            case Rejected():
                cause = result.sentence
            case Unknown():
                cause = f"{result.sentence}; it may have been sent, and is not sent again"
            case Cancelled():
                cause = result.reason
        sender = message.sender if message is not None else ""
        stored = {
            **{name: lease.state[name] for name in _RETAINED_FIELDS if name in lease.state},
            "state": FINAL_STATES[type(result)].value,
            "at": now,
            "result": cause,
            "sender": sender,
            "sid": sid,
            "trail": message.trail if message is not None else "",
        }
        waiting = {"state": SendState.WAITING.value, "at": now, "reason": cause, "failed_sender": sender}
        is_silent = isinstance(result, Cancelled) and not result.dead_letter
        is_dead_letter = bool(cause) and resend is None and not is_silent
        call = scripts.record_result(
            contact=entry.contact,
            entry=entry.line,
            reference=entry.reference,
            part=part.name,
            send=json.dumps(stored),
            sid=sid,
            reply_reference=f"{entry.message_sid}.{part.name}",
            retention_ms=self._retention_ms,
            cause=encode(cause) if is_dead_letter else b"",
            resend_entry=resend.line if resend is not None else b"",
            resend_part=resend.name if resend is not None else "",
            resend=json.dumps(waiting),
        )
        await self.writer.write(call)

    async def postpone(
        self, entry: OutboxEntry, part: MessagePart, seconds: float, mark: str = "", until: int | bytes = b""
    ) -> None:
        """Make a message due later that Twilio has not processed; the ``mark`` of its lease is removed.

        With ``until``, in milliseconds since the epoch, it is scheduled again.
        """
        call = scripts.postpone(
            contact=entry.contact,
            reference=entry.reference,
            entry=entry.line,
            part=part.name,
            delay_ms=int(seconds * 1000),
            mark=mark,
            due=until,
        )
        await self.writer.write(call)

    async def _redis_time(self, monotonic: float | None) -> int | bytes:
        """Return a time of the monotonic clock by the clock of Redis, in milliseconds; empty when unknown."""
        if monotonic is None or self.clock is None:
            return b""
        await self.clock.sync()
        return int(self.clock.time_of(monotonic) * 1000)
