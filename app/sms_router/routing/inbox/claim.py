"""The outcome of opening a message: who is to answer it, or its answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sms_router.routing.contacts.contact import ContactFields
from sms_router.routing.handler.conversation import StoredConversation
from sms_router.routing.inbox.answer import RELEASED, Answer, Outcome
from sms_router.routing.inbox.loop_guard import ReplyCounter
from sms_router.store.connection import Argument, encode
from sms_router.store.scripts import OPEN, OPEN_ANSWERING, OPEN_IN_TURN, Script


class Claimed(NamedTuple):
    """The message is ours to answer; ``attempt`` above 1 means that a worker was lost over it."""

    attempt: int
    spent: float
    """Seconds that claiming it has taken; they count against the message's budget for Redis."""
    stored: bool
    """False when Redis is away and only this worker's memory knows of the claim."""
    known: ContactFields = None
    talk: StoredConversation | None = None
    """What is kept of the person's conversation."""


@dataclass(frozen=True, slots=True)
class InProgress:
    """Somebody else is at work; their lease lasts this many seconds."""

    remaining: float
    known: ContactFields = None
    behind: str | None = None
    """The person's earlier message that is answered first, where this one waits for its turn."""


ClaimResult = Claimed | InProgress | Answer


class PreparedAnswer(NamedTuple):
    """An answer that is there before its message is claimed; it stands if nothing is known of the person."""

    answer: Answer
    story: str
    meter: ReplyCounter | None
    """Where the answer is counted; None when it is not counted."""


def claim_script(
    keys: tuple[bytes, ...], arguments: tuple[Argument, ...], talk: bytes | None, ready: PreparedAnswer | None
) -> tuple[Script, tuple[bytes, ...], tuple[Argument, ...]]:
    """Return the open script for what comes along: the person's turn, or an answer that is ready.

    ``talk`` is the key of the person's conversation, None where nobody takes turns.
    """
    if talk is not None:
        return OPEN_IN_TURN, (*keys, talk), arguments
    if ready is not None:
        counter, pace = ready.meter or (keys[0], (b"", b""))
        ours = (*arguments, *ready.answer, encode(ready.story), *pace)
        return OPEN_ANSWERING, (*keys, counter), ours
    return OPEN, keys, arguments


def parse_claim(found: Sequence[Any], asked: float, ready: PreparedAnswer | None) -> ClaimResult:
    """Read what the open script says; it was ``asked`` by the monotonic clock, with what was ``ready``."""
    if ready is not None and found[0] == b"stored":
        return ready.answer
    match found:
        case [b"claimed", attempt, *more]:
            known, *talk = more or (None,)
            spent = time.monotonic() - asked
            return Claimed(
                attempt, spent, True, known or None, StoredConversation.read(*talk) if talk else None
            )
        case [b"busy", remaining, *known]:
            return InProgress(remaining / 1000, known[0] if known else None)
        case [b"turn", remaining, behind]:
            return InProgress(remaining / 1000, behind=behind.decode())
        case [b"answered", document, outcome]:
            return Answer(document, Outcome(outcome.decode()))
    return RELEASED
