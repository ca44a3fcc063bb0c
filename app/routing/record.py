"""The answer record: one message, one answer, whoever asks and wherever (design 2).

A message is claimed once, journaled in the same step, and answered once; its answer is stored before
it is sent. This file speaks of claims and answers; what is kept where, and what happens without
Redis, is decided here and nowhere else.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

from app.routing.conversation import Talk
from app.routing.leases import Leases
from app.routing.loop_guard import Excess, Meter
from app.routing.waiters import Waiters
from app.store.errors import StoreUnavailableError
from app.store.journal import Journal
from app.store.keys import ANSWERED_CHANNEL, bucket_of
from app.store.scripts import (
    COMMIT,
    COMMIT_COUNTED,
    COMMIT_IN_TURN,
    NOTE,
    OPEN,
    OPEN_ANSWERING,
    OPEN_IN_TURN,
    PACE,
    RELEASE,
    Script,
)
from app.store.store import Store
from app.store.wire import Argument, written

log = logging.getLogger("sms_router.record")

LEASE = 3.0
"""Seconds that a claim lives without being renewed (design 2)."""

STORE_BUDGET = 0.2
"""Seconds that one message may wait for Redis in all, and the store's look every 50 ms may add one of them;
then it is answered from memory. Together they stay below the 300 ms that were promised (design 11)."""

MOST_REMEMBERED = 10_000
"""Answers kept in each worker for the time that Redis is away."""

LARGEST_REMEMBERED = 4096
"""Bytes of an answer that is kept there."""

Kept = TypeVar("Kept")


class Outcome(StrEnum):
    """How a message came to its answer."""

    REPLY = "reply"
    SILENT = "silent"
    LATE = "late"
    """The deadline came first: the empty answer was sent, the handler went on."""
    MUTED = "muted"
    """A reply too many to one person: the loop guard held it back."""
    UNSENDABLE = "unsendable"
    """There was a reply, but no number that can carry it to this person."""
    FAILED = "failed"
    """The handler raised; the person got the error reply."""
    FALLBACK = "fallback"
    """Twilio's fallback request found nothing and nobody at work."""
    RELEASED = "released"
    """The handler raised and Twilio was asked to call the fallback; not an answer yet."""


Known = Sequence[bytes] | None
"""What is kept about the person, names and values by turns (`people.read_person`); None for nothing."""


class MessageKey(NamedTuple):
    """Which message: the identity that every delivery of it shares."""

    reference: str
    """``AccountSid/MessageSid``."""
    person: str


class Answer(NamedTuple):
    """The TwiML that everybody who asks for this message gets."""

    document: bytes
    outcome: Outcome


_OTHERS_ANSWER, _RECORD_LOST, _TOO_MANY = 0, 2, 3
"""What the commit script says beside 1, which is that the answer is ours."""

RELEASED = Answer(b"", Outcome.RELEASED)


class Claimed(NamedTuple):
    """The message is ours to answer; ``attempt`` above 1 means that a worker was lost over it."""

    attempt: int
    spent: float
    """Seconds that claiming it has taken; they count against the message's budget for Redis."""
    stored: bool
    """False when Redis is away and only this worker's memory knows of the claim."""
    known: Known = None
    talk: Talk | None = None
    """What is kept of the person's conversation."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody else is at work; their lease lasts this many seconds."""

    remaining: float
    known: Known = None
    behind: str | None = None
    """The person's earlier message that is answered first, where this one waits for its turn."""


Opening = Claimed | Busy | Answer


class Story(NamedTuple):
    """What is journaled with an answer."""

    text: str
    """A line with the rule, then the trail of the sender's choice."""
    cause: str = ""
    """Why the message is a dead letter; empty when it is not."""


class Ready(NamedTuple):
    """An answer that is there before its message is claimed; it stands if nothing is known of the person."""

    answer: Answer
    story: Story
    meter: Meter | None
    """Where the answer is counted; None where nobody counts."""


class GoingOn(NamedTuple):
    """Work that goes on after an answer that is late, for the outbox to remember."""

    entry: bytes
    """What stands for it in the outbox."""
    ours: bool
    """False when somebody else is at work and this worker has only lost patience."""


class Turn(NamedTuple):
    """What a message has made of the person's conversation; it ends the message's turn."""

    key: bytes
    kept: bytes
    """As the scripts take it: see `conversation`."""
    lasts: int
    """Milliseconds."""
    remembered: int
    """Milliseconds until it is forgotten that there was any."""


class Records:
    """Claims and answers of one worker, over Redis, with this worker's memory beside it."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
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
        self._leases = Leases(store, self.owner, lease)
        self._waiters = Waiters()
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._released: OrderedDict[str, None] = OrderedDict()
        """Messages given back by this worker, for the time that Redis is away."""

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

    def remembered(self, key: MessageKey) -> Answer | None:
        """Return the answer that this worker has given already, if it still knows."""
        return self._answers.get(key.reference)

    async def open(
        self,
        key: MessageKey,
        request: bytes,
        fallback: bool,
        scope: str = "",
        *,
        in_turn: bool = False,
        ready: Ready | None = None,
    ) -> Opening:
        """Claim the message, or learn who has it or what its answer is.

        ``request`` is journaled as it came; ``fallback`` tells that Twilio's fallback asks; ``scope``
        is where the person's facts belong (`people.scope_of`). ``in_turn`` waits for the person's
        earlier messages, and brings what is kept of their conversation. Where the answer is ``ready``
        and stands, it is stored in the same step, and is what comes back; it never is in turn.
        """
        while True:
            words = self._waiters.words
            opening = await self._open(key, request, fallback, scope, in_turn, ready)
            if not isinstance(opening, Busy):
                return opening
            if not self._waiters.heard_since(opening.behind or key.reference, words):
                return opening
            # The word that it is answered has overtaken "busy": it would be waited for in vain.

    async def _open(
        self,
        key: MessageKey,
        request: bytes,
        fallback: bool,
        scope: str,
        in_turn: bool,
        ready: Ready | None,
    ) -> Opening:
        bucket = bucket_of(key.person)
        record = bucket.message(key.reference)
        script = OPEN
        keys: tuple[bytes, ...] = (record, bucket.journal, bucket.person(scope, key.person))
        arguments: tuple[Argument, ...] = (
            self.owner,
            self._leases.milliseconds,
            self._retention,
            key.reference,
            request,
            b"1" if fallback else b"0",
        )
        if in_turn:
            script, keys = OPEN_IN_TURN, (*keys, bucket.talk(scope, key.person))
        elif ready is not None:
            counter, pace = ready.meter or (record, (b"", b""))
            script, keys = OPEN_ANSWERING, (*keys, counter)
            arguments = (*arguments, *ready.answer, written(ready.story.text), *pace)
        asked = time.monotonic()
        try:
            found = await self._store.run(script, keys, arguments)
        except StoreUnavailableError:
            if key.reference in self._released and not fallback:
                return RELEASED
            return Claimed(1, time.monotonic() - asked, stored=False)
        if ready is not None and found[0] == b"stored":
            return self._remember(key, ready.answer)
        spent = time.monotonic() - asked
        opening = _opening(found, spent)
        if isinstance(opening, Claimed):
            self._leases.hold(key.reference, record, asked)
        elif isinstance(opening, Answer) and opening is not RELEASED:
            self._remember(key, opening)
        return opening

    async def commit(
        self,
        key: MessageKey,
        request: bytes,
        claim: Claimed,
        answer: Answer,
        story: Story,
        going_on: GoingOn | None = None,
        meter: Meter | None = None,
        turn: Turn | None = None,
    ) -> Answer | Excess:
        """Store the answer before it is sent; return it, or the one that was there first.

        With ``going_on`` the claim stays with whoever works on the message still. With a ``meter`` the
        answer is counted, and one too many is not stored; the claim is ours still. With a ``turn`` it is kept
        in the same step what the message has made of the person's conversation.
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
            written(story.text),
            self._retention,
            written(story.cause),
            ANSWERED_CHANNEL,
            going_on.entry if going_on is not None else b"",
            self.owner if going_on is not None and going_on.ours else b"",
            self._leases.milliseconds,
        )
        script, keys, more = _variant(keys, meter, turn)
        found = await self._try(script, keys, arguments, request, more, claim) if claim.stored else None
        if found is not None and found[0] == _TOO_MANY:
            return Excess(found[1])
        self._leases.let_go(key.reference)
        if found is None:
            script, keys, more = _variant(keys[:4], None, turn)
            whole = (*arguments, *self._as_received(request), *more)
            self._journal.spool(script, keys, whole, begins=going_on is not None)
        elif found[0] == _OTHERS_ANSWER:
            answer = Answer(found[1], Outcome(found[2].decode()))
        return self._remember(key, answer)

    async def _try(
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
            if found[0] == _RECORD_LOST:
                whole = (*arguments, *self._as_received(request), *more)
                found = await self._store.run(script, keys, whole, patience)
        except StoreUnavailableError:
            return None
        return found

    def _as_received(self, request: bytes) -> tuple[bytes, int]:
        """Return a message's request, and the time, for a record that does not have them."""
        return request, int(self._clock() * 1000)

    async def release(self, key: MessageKey, request: bytes, claim: Claimed, story: Story) -> None:
        """Give a failed message back, for Twilio's fallback request to take over.

        Where only this worker's memory knows of the claim, the fallback finds the message free anyway.
        """
        self._leases.let_go(key.reference)
        bucket = bucket_of(key.person)
        keys = (bucket.message(key.reference), bucket.journal, bucket.dead_letters)
        arguments = (
            key.reference,
            written(story.text),
            self._retention,
            written(story.cause),
            ANSWERED_CHANNEL,
            *self._as_received(request),
        )
        _keep_newest(self._released, key.reference, None)
        if claim.stored:
            await self._journal.keep(RELEASE, keys, arguments)
        else:
            self._journal.spool(RELEASE, keys, arguments)

    async def count(self, meter: Meter) -> Excess | None:
        """Count a reply that leaves later; nobody counts while Redis is away."""
        try:
            over = await self._store.run(PACE, (meter.key,), meter.pace)
        except StoreUnavailableError:
            return None
        return Excess(over) if over else None

    async def note(self, key: MessageKey, field: str, text: str, cause: str = "") -> None:
        """Write down what became of an answered message; with a ``cause`` it is a dead letter."""
        bucket = bucket_of(key.person)
        keys = (bucket.message(key.reference), bucket.dead_letters)
        arguments = (key.reference, field, written(text), self._retention, written(cause))
        await self._journal.keep(NOTE, keys, arguments)

    def hold(self, key: MessageKey) -> None:
        """Renew the claim from now on, for work that goes on after its answer."""
        record = bucket_of(key.person).message(key.reference)
        self._leases.hold(key.reference, record, time.monotonic())

    def let_go(self, key: MessageKey) -> None:
        """Stop renewing the claim, whatever became of it."""
        self._leases.let_go(key.reference)

    async def answered(self, key: MessageKey, seconds: float) -> None:
        """Wait until somebody says that the message is answered, ``seconds`` at the most."""
        await self._waiters.wait(key.reference, seconds)

    def wake(self, reference: str) -> None:
        """Wake those who wait for a message; called for what is published."""
        self._waiters.wake(reference)

    def _remember(self, key: MessageKey, answer: Answer) -> Answer:
        if len(answer.document) <= LARGEST_REMEMBERED:
            _keep_newest(self._answers, key.reference, answer)
        return answer


def _keep_newest(kept: OrderedDict[str, Kept], reference: str, value: Kept) -> None:
    kept[reference] = value
    if len(kept) > MOST_REMEMBERED:
        kept.popitem(last=False)


def _opening(found: Sequence[Any], spent: float) -> Opening:
    """Read what the open script says."""
    match found:
        case [b"claimed", attempt]:
            return Claimed(attempt, spent, stored=True)
        case [b"claimed", attempt, known, *talk]:
            return Claimed(attempt, spent, True, known or None, Talk.read(*talk) if talk else None)
        case [b"busy", remaining, *known]:
            return Busy(remaining / 1000, known[0] if known else None)
        case [b"turn", remaining, behind]:
            return Busy(remaining / 1000, behind=behind.decode())
        case [b"answered", document, outcome]:
            return Answer(document, Outcome(outcome.decode()))
    return RELEASED


def _variant(
    keys: tuple[bytes, ...], meter: Meter | None, turn: Turn | None
) -> tuple[Script, tuple[bytes, ...], tuple[Argument, ...]]:
    """Return the commit script for what comes along: a count of replies, a conversation."""
    if turn is not None:
        counter, pace = (meter.key, meter.pace) if meter is not None else (keys[0], (b"", b""))
        return COMMIT_IN_TURN, (*keys, counter, turn.key), (*pace, *turn[1:])
    if meter is not None:
        return COMMIT_COUNTED, (*keys, meter.key), meter.pace
    return COMMIT, keys, ()
