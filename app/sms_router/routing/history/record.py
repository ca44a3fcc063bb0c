"""One message from its arrival to what is known of its answers, as its record holds it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from xml.etree.ElementTree import ParseError

from sms_router.delivery.entry import MessagePart, ReplyKind
from sms_router.delivery.message import SendState
from sms_router.twilio.inbound import InboundMessage, parse_stored_request
from sms_router.twilio.twiml import OutboundMessage, parse_own

Fields = Mapping[bytes, bytes]

_LAST = MessagePart(ReplyKind.REPLAY, 1000)
"""Sorts a message last when nobody knows which piece it is."""


class FailureCause(NamedTuple):
    """Why a message is a dead letter."""

    at: int
    """Milliseconds since the epoch, as all times here."""
    text: str


class StatusReport(NamedTuple):
    """One delivery status, and when we heard of it."""

    at: int
    status: str


@dataclass(frozen=True, slots=True)
class DeliveredMessage:
    """What became of one message that left."""

    sid: str
    sender: str
    status: str
    error_code: str
    piece: MessagePart | None = None
    """Which one it is; None where its callback does not say so in a way that is known."""
    statuses: tuple[StatusReport, ...] = ()
    """In the order in which we heard of them."""


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """What was answered at one time, and how its sender was chosen."""

    at: int | None
    rule: str
    trail: tuple[str, ...]
    messages: tuple[OutboundMessage, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of each message."""
        return tuple(message.body for message in self.messages)

    @property
    def sender(self) -> str | None:
        """The number that the first message leaves from."""
        return self.messages[0].sender if self.messages else None


@dataclass(frozen=True, slots=True)
class OutboundAttempt:
    """One message that leaves by REST, and how far it has come."""

    piece: MessagePart
    state: SendState
    at: int
    """When it came so far."""
    why: str
    """Why it leaves by REST."""
    result: str
    """Why it did not leave, or may not have."""
    sender: str
    sid: str
    trail: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replay:
    """What was sent because an operator asked for a replay."""

    asked: int
    said: AnswerRecord | None
    """None until a router has done it."""
    failed: str = ""
    """Why nothing could leave."""


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """One message and all that followed."""

    reference: str
    received: int | None = None
    message: InboundMessage | None = None
    outcome: str | None = None
    """None while nobody has answered."""
    answer: AnswerRecord | None = None
    late: AnswerRecord | None = None
    """What came after the deadline."""
    replay: Replay | None = None
    sendings: tuple[OutboundAttempt, ...] = ()
    sent: tuple[DeliveredMessage, ...] = ()
    causes: tuple[FailureCause, ...] = ()
    """The newest first."""
    in_work_until: int = 0
    """Until when somebody holds its claim."""
    bodies_removed: int | None = None
    """When what was said was taken out of the record."""

    @property
    def sid(self) -> str:
        """The message's sid."""
        return self.reference.partition("/")[2]

    @property
    def account_sid(self) -> str:
        """The account that it came to."""
        return self.reference.partition("/")[0]

    @property
    def rule(self) -> str | None:
        """The rule that answered."""
        return self.answer.rule if self.answer is not None else None

    @property
    def sender(self) -> str | None:
        """The number that the answer left from."""
        return self.answer.sender if self.answer is not None else None

    @property
    def trail(self) -> tuple[str, ...]:
        """How the sender of the answer was chosen."""
        return self.answer.trail if self.answer is not None else ()

    @property
    def texts(self) -> tuple[str, ...]:
        """What was answered."""
        return self.answer.texts if self.answer is not None else ()

    def sendings_of(self, kind: ReplyKind) -> tuple[OutboundAttempt, ...]:
        """Return what left by REST of one document."""
        return tuple(sending for sending in self.sendings if sending.piece.kind is kind)


def parse_record(
    reference: str, fields: Fields, receipts: Mapping[str, Fields], causes: Sequence[FailureCause]
) -> MessageRecord:
    """Read a record, with the receipts of what left (by sid) and the causes of its dead letters."""
    return MessageRecord(
        reference=reference,
        received=_number(fields, b"received"),
        message=parse_stored_request(fields.get(b"request", b"")),
        outcome=_text(fields, b"outcome") or None,
        answer=_said(fields, b"answer", b"story", b"answered"),
        late=_said(fields, b"late", b"late:story", b"late:at"),
        replay=_replay(fields),
        sendings=tuple(_sendings(fields)),
        sent=tuple(sorted(_all_sent(fields, receipts), key=lambda sent: (sent.piece or _LAST, sent.sid))),
        causes=tuple(causes),
        in_work_until=_number(fields, b"lease") or 0,
        bodies_removed=_number(fields, b"bodies:removed"),
    )


def replies_sent(fields: Fields) -> dict[str, str]:
    """Return the sids of what left for a message, each with what its callback calls it."""
    return {
        field.removeprefix(b"sent:").decode(): value.decode("utf-8", "replace")
        for field, value in fields.items()
        if field.startswith(b"sent:")
    }


def _said(fields: Fields, document: bytes, story: bytes, at: bytes) -> AnswerRecord | None:
    if document not in fields and story not in fields:
        return None
    rule, *trail = _text(fields, story).splitlines() or [""]
    try:
        messages = parse_own(fields.get(document, b""))
    except ParseError:
        messages = ()
    return AnswerRecord(_number(fields, at), rule, tuple(trail), messages)


def _replay(fields: Fields) -> Replay | None:
    asked = _number(fields, b"replay:asked")
    if asked is None:
        return None
    said = _said(fields, b"replay", b"replay:story", b"replay:at")
    return Replay(asked, said, _text(fields, b"replay:failed"))


def _sendings(fields: Fields) -> Iterator[OutboundAttempt]:
    found = []
    for field, value in fields.items():
        piece = (
            MessagePart.parse(field.removeprefix(b"send:").decode()) if field.startswith(b"send:") else None
        )
        if piece is not None:
            found.append(_sending(piece, json.loads(value)))
    yield from sorted(found, key=lambda sending: sending.piece)


def _sending(piece: MessagePart, kept: Mapping[str, object]) -> OutboundAttempt:
    def text(name: str) -> str:
        return str(kept.get(name) or "")

    return OutboundAttempt(
        piece=piece,
        state=SendState(text("state")),
        at=int(text("at") or 0),
        why=text("why"),
        result=text("result"),
        sender=text("sender"),
        sid=text("sid"),
        trail=tuple(text("trail").splitlines()),
    )


def _all_sent(fields: Fields, receipts: Mapping[str, Fields]) -> Iterator[DeliveredMessage]:
    for sid, reply in replies_sent(fields).items():
        yield _sent(sid, reply, receipts.get(sid, {}))


def _sent(sid: str, reply: str, receipt: Fields) -> DeliveredMessage:
    statuses = [
        StatusReport(int(value), field.removeprefix(b"at:").decode())
        for field, value in receipt.items()
        if field.startswith(b"at:")
    ]
    return DeliveredMessage(
        sid,
        _text(receipt, b"sender"),
        _text(receipt, b"status"),
        _text(receipt, b"error_code"),
        MessagePart.parse(reply.partition(".")[2]),
        tuple(sorted(statuses)),
    )


def _text(fields: Fields, name: bytes) -> str:
    return fields.get(name, b"").decode("utf-8", "replace")


def _number(fields: Fields, name: bytes) -> int | None:
    value = fields.get(name)
    return int(value) if value is not None else None
