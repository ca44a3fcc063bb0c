"""Which dead letters may be answered once more, and asking the routers to do it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, cast

import redis

from sms_router.delivery.entry import OutboxEntry, ReplyKind
from sms_router.delivery.message import SendState
from sms_router.routing.history.record import MessageRecord
from sms_router.routing.inbox.answer import Outcome
from sms_router.store.keys import bucket_of
from sms_router.store.scripts import REPLAY_ASK
from sms_router.twilio.status import MessageStatus

UNANSWERED = 60_000
"""Milliseconds after which Twilio has given up asking for an answer, its fallback's included."""

_NOT_ANSWERED: dict[str, str] = {
    Outcome.FAILED: "its handler failed",
    Outcome.RELEASED: "its handler failed, and Twilio's fallback never asked",
    Outcome.UNSENDABLE: "no number could carry its answer",
    Outcome.FALLBACK: "only the fallback answered",
}

_NEVER_LEFT = {SendState.REFUSED, SendState.WITHDRAWN}
_ON_ITS_WAY = {SendState.WAITING, SendState.SENDING}
_ARRIVED = {MessageStatus.DELIVERED, MessageStatus.READ}


class ReplayStatus(StrEnum):
    """What becomes of the wish to answer a message once more."""

    YES = "yes"
    ASKED = "asked"
    GONE = "gone"
    IN_WORK = "in work"
    ANSWERED = "answered"
    UNKNOWN = "unknown"
    ALREADY = "already asked"
    OPTED_OUT = "opted out"
    TOO_OLD = "too old"
    NOT_FOUND = "not found"
    MUTED = "muted"
    OPT_OUT_WORD = "opt-out word"


class ReplayCheck(NamedTuple):
    """A verdict with its reason, for people."""

    verdict: ReplayStatus
    why: str


def check_replayable(episode: MessageRecord, now: int, oldest: int, *, even_unknown: bool) -> ReplayCheck:
    """Say whether a message may be answered once more, by what its record tells.

    ``now`` is in milliseconds since the epoch, ``oldest`` how many milliseconds ago the message may
    have come. With ``even_unknown`` an answer that may have left is no reason against it. What else
    can be against it is seen when it is asked for: an opt-out, an earlier replay.
    """
    if episode.message is None or episode.received is None or episode.bodies_removed is not None:
        return ReplayCheck(ReplayStatus.GONE, "what was texted is no longer kept")
    age = now - episode.received
    if age > oldest:
        why = f"it came {in_words(age)} ago, and the limit is {in_words(oldest)} (--max-age)"
        return ReplayCheck(ReplayStatus.TOO_OLD, why)
    if episode.in_work_until > now or any(each.state in _ON_ITS_WAY for each in episode.sendings):
        return ReplayCheck(ReplayStatus.IN_WORK, "it is being worked on")
    if episode.outcome in {None, Outcome.RELEASED} and age < UNANSWERED:
        return ReplayCheck(ReplayStatus.IN_WORK, "Twilio may still ask for its answer")
    return _by_outcome(episode, even_unknown)


def _by_outcome(episode: MessageRecord, even_unknown: bool) -> ReplayCheck:
    if episode.outcome is None or episode.outcome in _NOT_ANSWERED:
        return ReplayCheck(
            ReplayStatus.YES, _NOT_ANSWERED.get(episode.outcome or "", "nobody has answered it")
        )
    match episode.outcome:
        case Outcome.MUTED:
            return ReplayCheck(ReplayStatus.MUTED, "the loop guard held its answer back")
        case Outcome.LATE if episode.late is None:
            return ReplayCheck(ReplayStatus.YES, "its late answer was given up")
        case Outcome.LATE:
            return _unless_it_left(episode, ReplyKind.LATE, "its late answer did not leave", even_unknown)
        case Outcome.REPLY:
            return _unless_it_left(episode, ReplyKind.ANSWER, "its answer did not arrive", even_unknown)
    return ReplayCheck(ReplayStatus.ANSWERED, "it was answered")


def _unless_it_left(episode: MessageRecord, kind: ReplyKind, why: str, even_unknown: bool) -> ReplayCheck:
    states = {sending.state for sending in episode.sendings_of(kind)}
    if any(sent.status in _ARRIVED for sent in episode.sent if sent.piece and sent.piece.kind is kind):
        return ReplayCheck(ReplayStatus.ANSWERED, "it was answered, and something of it has arrived")
    if SendState.UNKNOWN in states and SendState.SENT not in states:
        if even_unknown:
            return ReplayCheck(ReplayStatus.YES, "its answer may have left already")
        reason = "its answer may have left already; to risk that it comes twice: --even-if-unknown"
        return ReplayCheck(ReplayStatus.UNKNOWN, reason)
    if states and states <= _NEVER_LEFT:
        return ReplayCheck(ReplayStatus.YES, why)
    return ReplayCheck(ReplayStatus.ANSWERED, "it was answered")


_ANSWERS = {
    b"asked": ReplayCheck(ReplayStatus.ASKED, "asked for"),
    b"gone": ReplayCheck(ReplayStatus.GONE, "what was texted is no longer kept"),
    b"unanswered": ReplayCheck(ReplayStatus.IN_WORK, "Twilio may still ask for its answer"),
    b"opted out": ReplayCheck(ReplayStatus.OPTED_OUT, "the person has opted out"),
    b"leaving": ReplayCheck(ReplayStatus.IN_WORK, "it is being worked on"),
    b"left": ReplayCheck(ReplayStatus.ANSWERED, "it was answered"),
    b"unknown": ReplayCheck(ReplayStatus.UNKNOWN, "its answer may have left already"),
    b"already": ReplayCheck(ReplayStatus.ALREADY, "it was replayed already, or is about to be"),
}


def request_replay(
    client: redis.Redis, episode: MessageRecord, scope: str, retention_days: float, *, even_unknown: bool
) -> ReplayCheck:
    """Put the wish into the outbox, from where a running router takes it; asked twice, it is done once.

    ``scope`` is where the person's facts belong. Whatever has changed since `judge` looked is seen here.
    """
    assert episode.message is not None, "judged before"
    person = episode.message.sender
    bucket = bucket_of(person)
    found = client.execute_command(
        "EVAL",
        REPLAY_ASK.source,
        3,
        bucket.message(episode.reference),
        bucket.outbox,
        bucket.person(scope, person),
        OutboxEntry(episode.reference, ReplyKind.REPLAY.value, scope, person).line,
        OutboxEntry(episode.reference, ReplyKind.LATE.value, scope, person).line,
        int(retention_days * 86_400_000),
        UNANSWERED,
        "1" if even_unknown else "",
    )
    return _ANSWERS[cast("list[bytes]", found)[0]]


def in_words(milliseconds: int) -> str:
    """Say how long that is: ``40 min``, ``5 h``, ``3 days``."""
    minutes = milliseconds / 60_000
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"
