"""What is committed along with an answer: work that goes on, a count of replies, a conversation."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from sms_router.routing.inbox.loop_guard import ReplyCounter
from sms_router.store.connection import Argument
from sms_router.store.scripts import COMMIT, COMMIT_COUNTED, COMMIT_IN_TURN, Script


class CommitResult(IntEnum):
    """What the commit script says."""

    OTHERS_ANSWER = 0
    OURS = 1
    RECORD_LOST = 2
    TOO_MANY = 3


class Continuation(NamedTuple):
    """Work that goes on after an answer that is late, for the outbox to remember."""

    entry: bytes
    """What stands for it in the outbox."""
    ours: bool
    """False when somebody else is at work and this worker has only lost patience."""


class ConversationUpdate(NamedTuple):
    """What a message has made of the person's conversation; it ends the message's turn."""

    key: bytes
    kept: bytes
    """As the scripts take it: see `conversation`."""
    lasts: int
    """Milliseconds."""
    remembered: int
    """Milliseconds until it is forgotten that there was any."""


def commit_script(
    keys: tuple[bytes, ...], meter: ReplyCounter | None, turn: ConversationUpdate | None
) -> tuple[Script, tuple[bytes, ...], tuple[Argument, ...]]:
    """Return the commit script for what comes along: a count of replies, a conversation."""
    if turn is not None:
        counter, pace = (meter.key, meter.pace) if meter is not None else (keys[0], (b"", b""))
        return COMMIT_IN_TURN, (*keys, counter, turn.key), (*pace, *turn[1:])
    if meter is not None:
        return COMMIT_COUNTED, (*keys, meter.key), meter.pace
    return COMMIT, keys, ()
