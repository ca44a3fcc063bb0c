"""The outbox as it is kept in Redis: what is due, who has it, and how it ended.

One sorted set for each bucket of people, ordered by when somebody should look at an entry next. A worker
that takes an entry moves that moment on, so that what a lost worker held comes back by itself. A message is
marked before it is sent and the mark is never taken back unless Twilio has surely not seen it: it leaves
at most once, whatever crashes (design 2).
"""

from __future__ import annotations

import json
import logging
from typing import NamedTuple
from uuid import uuid4

from sms_router.delivery.entry import MessagePart, OutboxEntry, ReplyKind
from sms_router.delivery.message import Cancelled, OutboundSms, Rejected, SendLease, SendState, Sent, Unknown
from sms_router.store.connection import encode
from sms_router.store.errors import ScriptFailedError, StoreUnavailableError
from sms_router.store.keys import Bucket
from sms_router.store.scripts import outbox as scripts
from sms_router.store.scripts import update_conversation
from sms_router.store.server_clock import ServerClock
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.store import Store

log = logging.getLogger("sms_router.delivery")

SENDING_TIMEOUT = 180.0
"""Seconds after which a message that was being sent counts as lost with its worker: longer than any call."""

LEASE = 15.0
"""Seconds after which any worker may take an entry that was taken but not marked."""

LONGEST_WAIT = SENDING_TIMEOUT + 60.0
"""Seconds that an entry may wait; one that seems to wait longer shows that Redis' clock was set back."""

MOST_ATTEMPTS = 3
"""How often work is begun; a handler that kills its worker each time must not kill all of them."""


Talk = tuple[bytes | None, int | None]
"""What is kept of the person's conversation, and for how many milliseconds it holds."""

NO_TALK: Talk = (None, None)

_KEPT_FIELDS = ("reason", "failed_sender", "resend_of")
"""Of a message that waits, what its result keeps."""

Kept = tuple[bytes, bytes, int, int]
"""Where the conversation is kept, and what this message makes of it, as the scripts take it."""


class Work(NamedTuple):
    """A message whose handler is to run again; its answer leaves by REST."""

    attempt: int
    request: bytes
    known: list[bytes]
    talk: Talk = NO_TALK


class Outbox:
    """What waits to leave by REST, over Redis."""

    def __init__(
        self,
        store: Store,
        journal: DurableWriter,
        retention_days: float,
        latest: float,
        clock: ServerClock | None = None,
    ) -> None:
        """Keep entries as long as messages; what is older than ``latest`` seconds does not leave any more.

        With a ``clock`` that holds by this worker's own measure, should Redis' clock have been set meanwhile.
        """
        self._store = store
        self._clock = clock
        self._journal = journal
        self._retention = int(retention_days * 86_400_000)
        self._latest = int(latest * 1000)

    @property
    def latest(self) -> float:
        """Seconds after which nobody waits for an answer any more."""
        return self._latest / 1000

    async def enqueue(
        self,
        entry: OutboxEntry,
        kind: ReplyKind,
        document: bytes,
        story: str,
        count: int,
        why: str,
        cause: str = "",
        turn: Kept | None = None,
        began: float | None = None,
    ) -> bool:
        """Have ``count`` messages of a document sent; the work ``entry`` is over.

        The second time it changes nothing. Returns whether they wait now; while Redis is away they
        wait in the spool. ``turn`` is what becomes of the person's conversation, kept in the same step;
        ``began`` is since when they wait, by the monotonic clock, where this worker knows.
        """
        call = scripts.enqueue(
            contact=entry.person,
            reference=entry.reference,
            kind=kind.value,
            document=document,
            trail=encode(story),
            reason=why,
            work=entry.line,
            entry_suffix=entry.whose,
            count=count,
            retention_ms=self._retention,
            cause=encode(cause),
            since=await self._since(began),
        )
        if turn is not None:
            conversation, state, valid_ms, ttl_ms = turn
            call = update_conversation(
                call, conversation=conversation, state=state, valid_ms=valid_ms, ttl_ms=ttl_ms
            )
        return await self._journal.write(call) == 1

    async def _since(self, began: float | None) -> int | bytes:
        """Return a moment by Redis' clock as it is now, in milliseconds; empty where it is not known."""
        if began is None or self._clock is None:
            return b""
        await self._clock.ask()
        return int(self._clock.of(began) * 1000)

    async def lease_due(self, bucket: Bucket, count: int) -> list[OutboxEntry]:
        """Return what is due, which nobody else takes for `TAKEN` seconds.

        Raises:
            StoreUnavailableError: when Redis does not serve; nothing is taken then.

        """
        call = scripts.lease_due(
            bucket, lease_ms=int(LEASE * 1000), count=count, max_wait_ms=int(LONGEST_WAIT * 1000)
        )
        found = await self._store.run(call)
        entries = []
        for line in found:
            try:
                entries.append(OutboxEntry.read(line))
            except ValueError:
                log.error("an entry of the outbox is not understood; was it a newer version that put it in?")
        return entries

    async def claim(
        self, entry: OutboxEntry, kind: ReplyKind, owner: bytes, lease: int, *, in_turn: bool = False
    ) -> Work | None:
        """Claim work whose worker is gone, for ``lease`` milliseconds; None when it is not to be done.

        ``in_turn`` waits for the person's earlier messages, and brings what is kept of their conversation.

        Raises:
            StoreUnavailableError: when Redis does not serve.

        """
        call = scripts.claim(
            scope=entry.scope,
            contact=entry.person,
            entry=entry.line,
            reference=entry.reference,
            kind=kind.value,
            owner=owner,
            lease_ms=lease,
            max_attempts=MOST_ATTEMPTS,
            max_age_ms=self._latest,
            retention_ms=self._retention,
            in_conversation=in_turn,
        )
        match await self._store.run(call):
            case [b"claimed", attempt, request, known, *talk]:
                return Work(attempt, request, known, (talk[0], talk[1]) if talk[1:] else NO_TALK)
        return None

    async def release_work(self, entry: OutboxEntry, owner: bytes) -> None:
        """Leave unfinished work to the next worker that looks, since this one stops.

        Raises:
            StoreUnavailableError: when Redis does not serve; then its lease runs out by itself.

        """
        call = scripts.release(
            contact=entry.person, reference=entry.reference, entry=entry.line, owner=owner, kind=entry.name
        )
        await self._store.run(call)

    async def mark_sending(self, entry: OutboxEntry, piece: MessagePart) -> SendLease | Cancelled | None:
        """Look a last time whether a message may leave, and mark it as leaving; None when it is not ours.

        This is the gate that everything passes which leaves outside of a webhook's answer: the opt-out
        list, the receipt of the message that it repeats, the age limit, the message before it.

        Raises:
            StoreUnavailableError: when Redis does not serve; then nothing may leave.

        """
        mark = uuid4().hex[:12]
        before = piece.before()
        call = scripts.mark_sending(
            scope=entry.scope,
            contact=entry.person,
            entry=entry.line,
            reference=entry.reference,
            part=piece.name,
            document_field=piece.kind.value,
            max_age_ms=self._latest,
            sending_ms=int(SENDING_TIMEOUT * 1000),
            retention_ms=self._retention,
            mark=mark,
            lease_ms=int(LEASE * 1000),
            part_before=before.name if before is not None else "",
        )
        try:
            found = await self._store.run(call)
        except ScriptFailedError:
            raise
        except StoreUnavailableError:
            await self._postpone(entry, piece, 1.0, mark)  # it may be marked, and it has surely not left
            raise
        match found:
            case [b"go", request, document, state, known]:
                return SendLease(request, document, json.loads(state), known, mark)
            case [b"withdrawn" | b"unknown", why]:
                return Cancelled(why.decode(), dead_letter=True)
        return None

    async def record_result(
        self,
        entry: OutboxEntry,
        piece: MessagePart,
        letter: OutboundSms | None,
        result: Sent | Rejected | Unknown | Cancelled,
        *,
        before: SendLease,
        now: int,
        again: OutboxEntry | None = None,
    ) -> None:
        """Write down how a message left or why not; ``again`` is put into the outbox in its place."""
        state, cause = _state_of(result)
        kept = {
            **{name: before.state[name] for name in _KEPT_FIELDS if name in before.state},
            "state": state.value,
            "at": now,
            "result": cause,
            "sender": letter.sender if letter is not None else "",
            "sid": result.sid if isinstance(result, Sent) else "",
            "trail": letter.trail if letter is not None else "",
        }
        waiting = {
            "state": SendState.WAITING.value,
            "at": now,
            "reason": cause,
            "failed_sender": kept["sender"],
        }
        is_dead = again is None and cause and not (isinstance(result, Cancelled) and not result.dead_letter)
        call = scripts.record_result(
            contact=entry.person,
            entry=entry.line,
            reference=entry.reference,
            part=piece.name,
            send=json.dumps(kept),
            sid=result.sid if isinstance(result, Sent) else "",
            reply_reference=f"{entry.message_sid}.{piece.name}",
            retention_ms=self._retention,
            cause=encode(cause) if is_dead else b"",
            resend_entry=again.line if again is not None else b"",
            resend_part=again.name if again is not None else "",
            resend=json.dumps(waiting),
        )
        await self._journal.write(call)

    async def postpone(
        self, entry: OutboxEntry, piece: MessagePart, seconds: float, marked: SendLease | None
    ) -> None:
        """Take the mark off a message that Twilio has not seen; it is tried again later.

        Without ``marked`` it only waits longer, should it wait.
        """
        await self._postpone(entry, piece, seconds, marked.mark if marked is not None else "")

    async def _postpone(self, entry: OutboxEntry, piece: MessagePart, seconds: float, mark: str) -> None:
        call = scripts.postpone(
            contact=entry.person,
            reference=entry.reference,
            entry=entry.line,
            part=piece.name,
            delay_ms=int(seconds * 1000),
            mark=mark,
        )
        await self._journal.write(call)


def _state_of(result: Sent | Rejected | Unknown | Cancelled) -> tuple[SendState, str]:
    match result:
        case Sent():
            return SendState.SENT, ""
        case Rejected(_, sentence):
            return SendState.REFUSED, sentence
        case Unknown(sentence):
            return SendState.UNKNOWN, f"{sentence}; it may have left, and is not sent again"
        case Cancelled(why, _):
            return SendState.WITHDRAWN, why
