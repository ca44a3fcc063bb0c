"""Compares the answers with the expected replies, and with the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from loadtests.chaos.deployment import Deployment
from loadtests.chaos.twilio_client import HttpAnswer, MessageExchange
from loadtests.workload.answer import InvalidAnswerError, find_fault, parse_answer
from loadtests.workload.texts import FALLBACK_REPLY, NO_REPLY, ExpectedReply
from sms_router.store.keys import ALL_BUCKETS, bucket_of
from tests.end_to_end.router_process import ACCOUNT
from tests.store.private_valkey import client_of

MAX_SHOWN = 5
"""Errors of each kind that are shown."""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """What Redis has of one message."""

    answer: bytes | None
    entries: int
    """Its entries in the journal; one is right."""
    second: bytes | None = None
    """The second answer, given while replicas could not share theirs."""


@dataclass(frozen=True, slots=True)
class LateReplies:
    """Replies after the deadline, which are sent by REST."""

    expected: int = 0
    arrived: int = 0
    twice: int = 0
    """Replies that a phone received more than once."""
    excused: bool = False
    """Whether Twilio's API was faulty, so that a reply that may have been sent is not sent again."""

    @property
    def missing(self) -> int:
        """Replies that no phone received, without an excuse."""
        return 0 if self.excused else self.expected - self.arrived


@dataclass(frozen=True, slots=True)
class Partition:
    """More figures of a fault of the network; all but `recovery` and `second_answers` must be none."""

    second_answers: int
    """Messages with two different answers, of which the journal has both."""
    run_again: tuple[str, ...]
    """Messages that were delivered once, and whose handler ran twice without the fallback."""
    stops: int
    stops_lost: tuple[str, ...]
    """STOPs after which a contact got a reply, once everything was repaired."""
    recovery: float
    """Seconds from the repair, or where none was needed from the fault, until no replica lacked Redis."""
    false_log_lines: tuple[str, ...]
    """Errors and tracebacks in the logs, without those of second answers."""

    @property
    def errors(self) -> tuple[str, ...]:
        kinds = (
            ("ran again", self.run_again),
            ("opt-out lost", self.stops_lost),
            ("log", self.false_log_lines),
        )
        return tuple(f"{kind}: {error}" for kind, errors in kinds for error in errors[:MAX_SHOWN])


@dataclass(frozen=True, slots=True)
class Audit:
    """The figures of one scenario: `unanswered`, `wrong`, `twice`, `differs` and `lost` must be 0.

    `differs` has one exception: when a worker dies while Valkey is down, the answer in its spool, which no
    request got, may be the first one in the journal.
    """

    sent: int
    answered: int
    used_fallback: int
    """Messages for which the fallback URL was called."""
    wrong: int
    """Messages with another answer than expected."""
    twice: int
    """Messages with two different answers."""
    differs: int
    """Messages whose answer in the journal differs from the one that was returned."""
    lost: int
    """Answered messages that are not in the journal exactly once, with an answer."""
    slowest: float
    """Seconds."""
    errors: tuple[str, ...]
    store_was_down: bool = False
    late: LateReplies = LateReplies()
    deployment_errors: tuple[str, ...] = ()
    """Errors of the routers themselves."""
    partition: Partition | None = None

    @property
    def unanswered(self) -> int:
        """Messages that got no answer, not even from the fallback URL."""
        return self.sent - self.answered

    @property
    def passed(self) -> bool:
        """Whether everything is as it must be."""
        differs = self.differs and not (self.store_was_down and self.differs <= self.used_fallback)
        late = self.late.missing or self.late.twice
        counted = self.unanswered or self.wrong or self.twice or self.lost
        more = self.partition
        false = more is not None and more.errors
        return not (counted or differs or late or self.deployment_errors or false)


def audit(
    deployment: Deployment,
    exchanges: Sequence[MessageExchange],
    opted_out: Sequence[MessageExchange],
    store_was_down: bool,
) -> Audit:
    """Read the journal and compare; ``opted_out`` are messages of contacts who have opted out."""
    every = (*exchanges, *opted_out)
    sids = {exchange.sid for exchange in opted_out}
    return compare(every, sids, read_stored_messages(deployment, every), store_was_down)


def read_stored_messages(
    deployment: Deployment, exchanges: Iterable[MessageExchange]
) -> Mapping[str, StoredMessage]:
    """Return what Redis has of each message, by its sid."""
    with client_of(deployment.store.url) as client:
        entries: Counter[str] = Counter()
        for bucket in ALL_BUCKETS:
            for _, fields in cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(bucket.journal)):
                entries[fields[b"message"].decode().partition("/")[2]] += 1
        pipeline = client.pipeline(transaction=False)
        sids = []
        for exchange in exchanges:
            sids.append(exchange.sid)
            key = bucket_of(exchange.contact.number).message(f"{ACCOUNT}/{exchange.sid}")
            pipeline.hmget(key, "answer", "second")
        records = cast("list[tuple[bytes | None, bytes | None]]", pipeline.execute())
    return {
        sid: StoredMessage(answer, entries[sid], second)
        for sid, (answer, second) in zip(sids, records, strict=True)
    }


def compare(
    exchanges: Sequence[MessageExchange],
    opted_out: Container[str],
    stored: Mapping[str, StoredMessage],
    store_was_down: bool = False,
) -> Audit:
    """Compare the answers with the expected replies and with the stored messages.

    Args:
        exchanges: all messages.
        opted_out: the sids of those that must not get a reply.
        stored: the messages in Redis, by sid.
        store_was_down: whether Valkey was down for a while.

    """
    answered = [exchange for exchange in exchanges if exchange.answers]
    errors: list[str] = []

    def count(kind: str, faults: Iterable[str | None]) -> int:
        sentences = [fault for fault in faults if fault is not None]
        errors.extend(f"{kind}: {sentence}" for sentence in sentences[:MAX_SHOWN])
        return len(sentences)

    unanswered = (exchange for exchange in exchanges if not exchange.answers)
    count("not answered", (_describe(exchange, str(exchange.failures)) for exchange in unanswered))
    return Audit(
        sent=len(exchanges),
        answered=len(answered),
        used_fallback=sum(exchange.used_fallback for exchange in exchanges),
        wrong=count("wrong", (_find_wrong(exchange, opted_out) for exchange in answered)),
        twice=count("twice", (_find_twice(exchange, stored[exchange.sid]) for exchange in answered)),
        differs=count("differs", (_find_difference(exchange, stored[exchange.sid]) for exchange in answered)),
        lost=count("lost", (_find_loss(exchange, stored[exchange.sid]) for exchange in answered)),
        slowest=max((exchange.seconds for exchange in exchanges), default=0.0),
        errors=tuple(errors),
        store_was_down=store_was_down,
    )


def _find_wrong(exchange: MessageExchange, opted_out: Container[str]) -> str | None:
    """Return what is wrong; the fallback reply is right too, except for a contact who has opted out."""
    contact = exchange.contact
    expected = NO_REPLY if exchange.sid in opted_out else exchange.text.expected_reply(contact)
    for answer in exchange.answers:
        fault = _fault(answer, expected, contact.expected_sender)
        if fault is not None and exchange.used_fallback and exchange.sid not in opted_out:
            fault = _fault(answer, ExpectedReply.of(FALLBACK_REPLY), contact.expected_sender)
        if fault is not None:
            return _describe(exchange, fault)
    return None


def _fault(answer: HttpAnswer, expected: ExpectedReply, sender: str) -> str | None:
    try:
        messages = parse_answer(answer.status, answer.content_type, answer.body)
    except InvalidAnswerError as error:
        return str(error)
    return find_fault(messages, expected, sender)


def _find_twice(exchange: MessageExchange, stored: StoredMessage) -> str | None:
    if len(exchange.bodies - {stored.second}) > 1:
        return _describe(exchange, f"two answers: {sorted(exchange.bodies)}")
    return None


def _find_difference(exchange: MessageExchange, stored: StoredMessage) -> str | None:
    if stored.answer is not None and stored.answer not in exchange.bodies:
        return _describe(exchange, f"{exchange.bodies} was returned, {stored.answer!r} is stored")
    return None


def _find_loss(exchange: MessageExchange, stored: StoredMessage) -> str | None:
    if stored.entries != 1:
        return _describe(exchange, f"{stored.entries} entries in the journal")
    return _describe(exchange, "stored without an answer") if stored.answer is None else None


def _describe(exchange: MessageExchange, fault: str) -> str:
    return f"{exchange.text.name} {exchange.sid} of {exchange.contact.number}: {fault}"
