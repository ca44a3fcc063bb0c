"""A stored message and everything that followed: its answer, replies by REST, statuses and failures.

All times are in milliseconds since the epoch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from xml.etree.ElementTree import ParseError

from sms_router.delivery.entry import MessagePart, ReplyKind
from sms_router.delivery.message import SendState
from sms_router.twilio.inbound import InboundMessage, parse_stored_request
from sms_router.twilio.status import MessageStatus
from sms_router.twilio.twiml import OutboundMessage, parse_own

Fields = Mapping[bytes, bytes]
"""A hash of Redis."""

_LAST_PART = MessagePart(ReplyKind.REPLAY, 1000)
"""Sorts a sent message whose part is unknown behind all others."""


class FailureCause(NamedTuple):
    """Why a message is a dead letter, and since when."""

    at: int
    text: str


class StatusReport(NamedTuple):
    """A delivery status, and when its callback was received."""

    at: int
    status: str

    def order(self) -> tuple[int, int]:
        """Return the key for the order of time; within a millisecond, of the message's progress."""
        status = MessageStatus.parse(self.status)
        return self.at, status.rank if status is not None else 0


@dataclass(frozen=True, slots=True)
class SentMessage:
    """An outgoing message that has a sid, with its status callbacks."""

    sid: str
    sender: str
    status: str
    error_code: str
    part: MessagePart | None = None
    """Its place in the reply; None where its status callback URL cannot be parsed."""
    statuses: tuple[StatusReport, ...] = ()
    """In the order in which they were received."""


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """One answer: the rule that made it, its messages, and how their sender was selected."""

    at: int | None
    rule: str
    trail: tuple[str, ...]
    messages: tuple[OutboundMessage, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(message.body for message in self.messages)

    @property
    def sender(self) -> str | None:
        """The sender of the first message."""
        return self.messages[0].sender if self.messages else None


@dataclass(frozen=True, slots=True)
class OutboundAttempt:
    """One message that is sent by REST, and the state of its sending."""

    part: MessagePart
    state: SendState
    at: int
    """When it got into this state."""
    reason: str
    """Why it is sent by REST."""
    failure: str
    """Why it was not sent, or may not have been; else empty."""
    sender: str
    sid: str
    trail: tuple[str, ...]
    due: int | None = None
    """When a message that is no reply leaves, or has left."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay that an operator has requested."""

    requested_at: int
    answer: AnswerRecord | None
    """None until a router has processed the request."""
    failure: str = ""
    """Why nothing could be sent."""


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """One inbound message and everything that followed."""

    reference: str
    """The account's sid, a slash, and the message's sid."""
    received: int | None = None
    message: InboundMessage | None = None
    outcome: str | None = None
    """None while the message is not answered."""
    answer: AnswerRecord | None = None
    late_reply: AnswerRecord | None = None
    """A reply that was made after the deadline."""
    second_answer: AnswerRecord | None = None
    """The answer of another worker, given while Redis was away."""
    replay: Replay | None = None
    attempts: tuple[OutboundAttempt, ...] = ()
    sent: tuple[SentMessage, ...] = ()
    causes: tuple[FailureCause, ...] = ()
    """The newest first."""
    claimed_until: int = 0
    """The end of the lease on its claim."""
    bodies_removed: int | None = None
    """When its texts were removed from the record (`body_retention`)."""

    @property
    def sid(self) -> str:
        return self.reference.partition("/")[2]

    @property
    def account_sid(self) -> str:
        return self.reference.partition("/")[0]

    @property
    def event(self) -> str | None:
        """The kind of the event for which it stands."""
        return self.message.parameters.get("Event") if self.message is not None else None

    @property
    def is_outbound(self) -> bool:
        """Whether it is no reply: a handler or a program has requested it."""
        return self.message is not None and self.message.is_outbound

    @property
    def due(self) -> int | None:
        """When a message that is no reply leaves, while it waits; None where nothing of it waits."""
        waiting = (attempt.due for attempt in self.attempts if attempt.state is SendState.WAITING)
        return next(waiting, None) if self.is_outbound else None

    @property
    def requester(self) -> str:
        """Who has requested a message that is no reply, and under which key."""
        parameters = self.message.parameters if self.message is not None else {}
        by, key = parameters.get("Requester", "a handler or a program"), parameters.get("Key")
        return f"{by}, key {key}" if key else by

    @property
    def rule(self) -> str | None:
        return self.answer.rule if self.answer is not None else None

    @property
    def sender(self) -> str | None:
        """The sender of the answer, or of a message that is no reply."""
        answer = self.late_reply if self.is_outbound else self.answer
        return answer.sender if answer is not None else None

    @property
    def trail(self) -> tuple[str, ...]:
        return self.answer.trail if self.answer is not None else ()

    @property
    def texts(self) -> tuple[str, ...]:
        return self.answer.texts if self.answer is not None else ()

    @property
    def replies(self) -> tuple[OutboundMessage, ...]:
        """What was made for the contact, whatever way it left: the answer, a late reply, a replay."""
        replay = self.replay.answer if self.replay is not None else None
        answers = (self.answer, self.second_answer, self.late_reply, replay)
        return tuple(message for answer in answers if answer is not None for message in answer.messages)

    def attempts_of(self, kind: ReplyKind) -> tuple[OutboundAttempt, ...]:
        return tuple(attempt for attempt in self.attempts if attempt.part.kind is kind)


def parse_record(
    reference: str, fields: Fields, receipts: Mapping[str, Fields], causes: Sequence[FailureCause]
) -> MessageRecord:
    """Parse the stored hash of a message.

    ``receipts`` are the hashes of its sent messages (`sent_replies`), by sid; ``causes`` tell why it is a
    dead letter, the newest first.
    """
    sent = [_sent_message(sid, name, receipts.get(sid, {})) for sid, name in sent_replies(fields).items()]
    return MessageRecord(
        reference=reference,
        received=_number(fields, b"received"),
        message=parse_stored_request(fields.get(b"request", b"")),
        outcome=_text(fields, b"outcome") or None,
        answer=_answer(fields, b"answer", b"trail", b"answered"),
        late_reply=_answer(fields, b"late", b"late:trail", b"late:at"),
        second_answer=_answer(fields, b"second", b"second:trail", b"second:at"),
        replay=_replay(fields),
        attempts=tuple(sorted(_attempts(fields), key=lambda attempt: attempt.part)),
        sent=tuple(sorted(sent, key=lambda message: (message.part or _LAST_PART, message.sid))),
        causes=tuple(causes),
        claimed_until=_number(fields, b"lease_until") or 0,
        bodies_removed=_number(fields, b"bodies:removed"),
    )


def sent_replies(fields: Fields) -> dict[str, str]:
    """Return the sids of what was sent for a message, each with its name in the status callback URL."""
    return {
        field.removeprefix(b"sent:").decode(): value.decode("utf-8", "replace")
        for field, value in fields.items()
        if field.startswith(b"sent:")
    }


def _answer(fields: Fields, document: bytes, trail: bytes, at: bytes) -> AnswerRecord | None:
    """Parse one answer; the arguments name its fields. The first line of the trail is the rule."""
    if document not in fields and trail not in fields:
        return None
    rule, *lines = _text(fields, trail).splitlines() or [""]
    try:
        messages = parse_own(fields.get(document, b""))
    except ParseError:
        messages = ()
    return AnswerRecord(_number(fields, at), rule, tuple(lines), messages)


def _replay(fields: Fields) -> Replay | None:
    if (requested_at := _number(fields, b"replay:requested")) is None:
        return None
    answer = _answer(fields, b"replay", b"replay:trail", b"replay:at")
    return Replay(requested_at, answer, _text(fields, b"replay:failed"))


def _attempts(fields: Fields) -> Iterator[OutboundAttempt]:
    for field, value in fields.items():
        if not field.startswith(b"send:"):
            continue
        part = MessagePart.parse(field.removeprefix(b"send:").decode())
        if part is not None:
            yield _attempt(part, json.loads(value))


def _attempt(part: MessagePart, stored: Mapping[str, object]) -> OutboundAttempt:
    def text(name: str) -> str:
        return str(stored.get(name) or "")

    return OutboundAttempt(
        part=part,
        state=SendState(text("state")),
        at=int(text("at") or 0),
        reason=text("reason"),
        failure=text("result"),
        sender=text("sender"),
        sid=text("sid"),
        trail=tuple(text("trail").splitlines()),
        due=int(text("since") or 0) or None,
    )


def _sent_message(sid: str, name: str, receipt: Fields) -> SentMessage:
    statuses = [
        StatusReport(int(value), field.removeprefix(b"at:").decode())
        for field, value in receipt.items()
        if field.startswith(b"at:")
    ]
    return SentMessage(
        sid,
        _text(receipt, b"sender"),
        _text(receipt, b"status"),
        _text(receipt, b"error_code"),
        MessagePart.parse(name.partition(".")[2]),
        tuple(sorted(statuses, key=StatusReport.order)),
    )


def _text(fields: Fields, name: bytes) -> str:
    return fields.get(name, b"").decode("utf-8", "replace")


def _number(fields: Fields, name: bytes) -> int | None:
    value = fields.get(name)
    return int(value) if value is not None else None
