"""What operators request for one message: that it is replayed (answered once more), or cancelled."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import redis

from sms_router.delivery.entry import OutboxEntry, ReplyKind
from sms_router.delivery.message import SendState
from sms_router.routing.history.record import MessageRecord
from sms_router.routing.inbox.answer import Outcome
from sms_router.store import scripts
from sms_router.store.redis_py import run_script
from sms_router.store.scripts import outbox
from sms_router.twilio.status import MessageStatus

ANSWER_TIMEOUT_MS = 60_000
"""Milliseconds after which Twilio sends no more requests for a message, not to the fallback URL either."""

_NOT_ANSWERED: dict[str, str] = {
    Outcome.FAILED: "its handler failed",
    Outcome.RELEASED: "its handler failed, and Twilio did not call the fallback URL",
    Outcome.UNSENDABLE: "no sender could send its reply",
    Outcome.FALLBACK: "it got only the fallback reply",
}

_NOT_SENT = {SendState.REFUSED, SendState.WITHDRAWN}
_UNFINISHED = {SendState.WAITING, SendState.SENDING}
_DELIVERED = {MessageStatus.DELIVERED, MessageStatus.READ}


class ReplayStatus(StrEnum):
    """Whether a message may be replayed, or the result of the request."""

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
    OTHER_RULE = "other rule"


class ReplayCheck(NamedTuple):
    """Whether a message may be replayed, and the reason for people."""

    status: ReplayStatus
    reason: str


RECONCILED = "reconcile"
"""What is stored in place of a rule where a message was found in Twilio's log."""

_NO_RULES = {"", "fallback_reply", "deadline", "abandoned", RECONCILED}
"""What is stored in place of a rule where the worker that answered did not have it."""

_CAUSES_WITHOUT_RULE = ("Twilio called the fallback: ", "abandoned: ", "never arrived: ", "late: ")
_WITHOUT_REDIS = ": Redis is away"


def failed_rule(record: MessageRecord) -> str | None:
    """Return the rule that has failed to answer a message; None where it is not known."""
    answers = [answer for answer in (record.late_reply, record.answer) if answer is not None]
    for answer in answers:
        if answer.rule not in _NO_RULES:
            return answer.rule.removesuffix(_WITHOUT_REDIS)
    causes = [cause.text for cause in record.causes if not cause.text.startswith(_CAUSES_WITHOUT_RULE)]
    # A cause is the rule, a colon, and what has failed.
    return causes[0].partition(": ")[0] if causes and ": " in causes[0] else None


def check_replayable(record: MessageRecord, now: int, max_age: int, *, even_unknown: bool) -> ReplayCheck:
    """Return whether a message may be replayed, as far as its record decides.

    An opt-out and an earlier replay are checked by `request_replay`. ``now`` is in milliseconds since the
    epoch, ``max_age`` in milliseconds. With ``even_unknown`` it does not matter whether it is unknown that
    the reply was sent.
    """
    if record.message is None or record.received is None or record.bodies_removed is not None:
        return ReplayCheck(ReplayStatus.GONE, "its text is no longer kept")
    if record.is_outbound:
        return ReplayCheck(ReplayStatus.ANSWERED, "it is no reply; send it again: sms-router send")
    age = now - record.received
    if age > max_age:
        reason = (
            f"it came {format_duration(age)} ago, and the limit is {format_duration(max_age)} (--max-age)"
        )
        return ReplayCheck(ReplayStatus.TOO_OLD, reason)
    if record.claimed_until > now or any(attempt.state in _UNFINISHED for attempt in record.attempts):
        return ReplayCheck(ReplayStatus.IN_WORK, "it is being processed")
    if record.outcome in {None, Outcome.RELEASED} and age < ANSWER_TIMEOUT_MS:
        return ReplayCheck(ReplayStatus.IN_WORK, "Twilio may still request its answer")
    return _by_outcome(record, even_unknown)


def _by_outcome(record: MessageRecord, even_unknown: bool) -> ReplayCheck:
    if record.outcome is None or record.outcome in _NOT_ANSWERED:
        return ReplayCheck(ReplayStatus.YES, _NOT_ANSWERED.get(record.outcome or "", "it was not answered"))
    match record.outcome:
        case Outcome.MUTED:
            return ReplayCheck(ReplayStatus.MUTED, "the loop guard suppressed its reply")
        case Outcome.LATE if record.late_reply is None:
            return ReplayCheck(ReplayStatus.YES, "its late reply was abandoned")
        case Outcome.LATE:
            return _unless_sent(record, ReplyKind.LATE, "its late reply was not sent", even_unknown)
        case Outcome.REPLY:
            return _unless_sent(record, ReplyKind.ANSWER, "its reply was not delivered", even_unknown)
    return ReplayCheck(ReplayStatus.ANSWERED, "it was answered")


def _unless_sent(record: MessageRecord, kind: ReplyKind, reason: str, even_unknown: bool) -> ReplayCheck:
    states = {attempt.state for attempt in record.attempts_of(kind)}
    if any(sent.status in _DELIVERED for sent in record.sent if sent.part and sent.part.kind is kind):
        return ReplayCheck(ReplayStatus.ANSWERED, "it was answered, and a part of the reply was delivered")
    if SendState.UNKNOWN in states and SendState.SENT not in states:
        if even_unknown:
            return ReplayCheck(ReplayStatus.YES, "its reply may have been sent already")
        remedy = "to risk that it is sent twice: --even-if-unknown"
        return ReplayCheck(ReplayStatus.UNKNOWN, f"its reply may have been sent already; {remedy}")
    if states and states <= _NOT_SENT:
        return ReplayCheck(ReplayStatus.YES, reason)
    return ReplayCheck(ReplayStatus.ANSWERED, "it was answered")


_RESULTS = {
    b"requested": ReplayCheck(ReplayStatus.ASKED, "requested"),
    b"gone": ReplayCheck(ReplayStatus.GONE, "its text is no longer kept"),
    b"unanswered": ReplayCheck(ReplayStatus.IN_WORK, "Twilio may still request its answer"),
    b"opted out": ReplayCheck(ReplayStatus.OPTED_OUT, "the contact has opted out"),
    b"leaving": ReplayCheck(ReplayStatus.IN_WORK, "it is being processed"),
    b"left": ReplayCheck(ReplayStatus.ANSWERED, "it was answered"),
    b"unknown": ReplayCheck(ReplayStatus.UNKNOWN, "its reply may have been sent already"),
    b"already": ReplayCheck(ReplayStatus.ALREADY, "it was replayed already, or is about to be"),
}


def request_replay(
    client: redis.Redis, record: MessageRecord, scope: str, retention_days: float, *, even_unknown: bool
) -> ReplayCheck:
    """Put a request for a replay into the outbox, from which a running router takes it.

    A second request has no effect. Changes since `check_replayable`, which has accepted the message, are
    checked atomically. ``scope`` is where the contact's opt-out belongs (`Contacts.scope_of`).
    """
    assert record.message is not None, "check_replayable has refused it"
    contact = record.message.contact
    call = scripts.request_replay(
        scope=scope,
        contact=contact,
        reference=record.reference,
        entry=OutboxEntry(record.reference, ReplyKind.REPLAY.value, scope, contact).line,
        late_entry=OutboxEntry(record.reference, ReplyKind.LATE.value, scope, contact).line,
        retention_ms=int(retention_days * 86_400_000),
        answer_timeout_ms=ANSWER_TIMEOUT_MS,
        accept_unknown="1" if even_unknown else "",
    )
    return _RESULTS[run_script(client, call)[0]]


def cancel(client: redis.Redis, record: MessageRecord) -> bool:
    """Withdraw what still waits of a message that is no reply; return whether there was anything."""
    message = record.message
    if message is None or not message.is_outbound or message.service_sid is None:
        return False
    entry = OutboxEntry(record.reference, ReplyKind.LATE.value, message.service_sid, message.contact)
    suffix = entry.contact_suffix
    call = outbox.cancel(contact=entry.contact, reference=entry.reference, entry_suffix=suffix)
    return bool(run_script(client, call))


def format_duration(milliseconds: int) -> str:
    """Return a duration for people: ``40 min``, ``5 h``, ``3 days``."""
    minutes = milliseconds / 60_000
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"
