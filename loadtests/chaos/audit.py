"""What was answered against what was due, and against the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from loadtests.chaos.site import Site
from loadtests.chaos.twilio import Exchange, Page
from loadtests.crowd.answer import NotTwimlError, fault_in, read_answer
from loadtests.crowd.texts import FALLBACK_REPLY, SILENCE, Due
from sms_router.store.keys import ALL_BUCKETS, bucket_of
from tests.end_to_end.running import ACCOUNT

MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the journal holds of one message."""

    answer: bytes | None
    entries: int
    """How often it stands in the journal; once is right."""


@dataclass(frozen=True, slots=True)
class Late:
    """Answers that came after the deadline, and leave by REST."""

    due: int = 0
    arrived: int = 0
    twice: int = 0
    """Those that a phone got more than once."""
    excused: bool = False
    """Whether Twilio's API was at fault: what may have left is not sent again."""

    @property
    def missing(self) -> int:
        """Late answers that no phone got, and nothing excuses."""
        return 0 if self.excused else self.due - self.arrived


@dataclass(frozen=True, slots=True)
class Audit:
    """The figures of one scenario: `unanswered`, `wrong`, `twice`, `differs` and `lost` must be 0.

    One thing may differ: where a worker died over a message while Valkey was away, its own answer, which
    nobody got, may be found in its spool, and be the first in the journal.
    """

    sent: int
    answered: int
    fell_back: int
    """Messages that Twilio also called the fallback URL for."""
    wrong: int
    """Answered with something else than what was due."""
    twice: int
    """Two different answers for one message."""
    differs: int
    """Another answer in the journal than the person got."""
    lost: int
    """Answered, and not in the journal exactly once, with an answer."""
    slowest: float
    """Seconds."""
    complaints: tuple[str, ...]
    blind: bool = False
    """Whether Valkey was away."""
    late: Late = Late()
    notes: tuple[str, ...] = ()
    """What went wrong with the routers themselves."""

    @property
    def unanswered(self) -> int:
        """Messages that Twilio got no answer for, not even from the fallback URL."""
        return self.sent - self.answered

    @property
    def good(self) -> bool:
        """Whether everything is as it must be."""
        unexcused = self.differs and not (self.blind and self.differs <= self.fell_back)
        late = self.late.missing or self.late.twice
        counted = self.unanswered or self.wrong or self.twice or self.lost
        return not (counted or unexcused or late or self.notes)


def audit(site: Site, exchanges: Sequence[Exchange], silenced: Sequence[Exchange], blind: bool) -> Audit:
    """Read the journal and judge; ``silenced`` are messages of people who have opted out."""
    every = (*exchanges, *silenced)
    return judge(every, {exchange.sid for exchange in silenced}, read_journal(site, every), blind)


def read_journal(site: Site, exchanges: Iterable[Exchange]) -> Mapping[str, Recorded]:
    """Return what is kept of each message, by its sid."""
    with site.valkey.client() as client:
        entries: Counter[str] = Counter()
        for bucket in ALL_BUCKETS:
            for _, fields in cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(bucket.journal)):
                entries[fields[b"message"].decode().partition("/")[2]] += 1
        pipeline = client.pipeline(transaction=False)
        sids = []
        for exchange in exchanges:
            sids.append(exchange.sid)
            key = bucket_of(exchange.person.number).message(f"{ACCOUNT}/{exchange.sid}")
            pipeline.hget(key, "answer")
        answers = cast("list[bytes | None]", pipeline.execute())
    return {sid: Recorded(answer, entries[sid]) for sid, answer in zip(sids, answers, strict=True)}


def judge(
    exchanges: Sequence[Exchange],
    silenced: Container[str],
    journal: Mapping[str, Recorded],
    blind: bool = False,
) -> Audit:
    """Hold what was answered against what was due and what is kept.

    ``silenced`` are the sids of messages that must not be answered; ``blind`` says that Valkey was away.
    """
    answered = [exchange for exchange in exchanges if exchange.pages]
    complaints: list[str] = []

    def count(kind: str, found: Iterable[str | None]) -> int:
        faults = [fault for fault in found if fault is not None]
        complaints.extend(f"{kind}: {fault}" for fault in faults[:MOST_SHOWN])
        return len(faults)

    silent = (exchange for exchange in exchanges if not exchange.pages)
    count("not answered", (_described(exchange, str(exchange.failures)) for exchange in silent))
    return Audit(
        sent=len(exchanges),
        answered=len(answered),
        fell_back=sum(exchange.fell_back for exchange in exchanges),
        wrong=count("wrong", (_wrong(exchange, silenced) for exchange in answered)),
        twice=count("twice", map(_twice, answered)),
        differs=count("differs", (_differs(exchange, journal[exchange.sid]) for exchange in answered)),
        lost=count("lost", (_lost(exchange, journal[exchange.sid]) for exchange in answered)),
        slowest=max((exchange.seconds for exchange in exchanges), default=0.0),
        complaints=tuple(complaints),
        blind=blind,
    )


def _wrong(exchange: Exchange, silenced: Container[str]) -> str | None:
    """Say what is wrong; by the fallback its own text is right, but for who has opted out."""
    due = SILENCE if exchange.sid in silenced else exchange.text.due(exchange.person)
    for page in exchange.pages:
        fault = _fault(page, due, exchange.person.answered_from)
        if fault is not None and exchange.fell_back and exchange.sid not in silenced:
            fault = _fault(page, Due.of(FALLBACK_REPLY), exchange.person.answered_from)
        if fault is not None:
            return _described(exchange, fault)
    return None


def _fault(page: Page, due: Due, sender: str) -> str | None:
    try:
        return fault_in(read_answer(page.status, page.content_type, page.body), due, sender)
    except NotTwimlError as error:
        return str(error)


def _twice(exchange: Exchange) -> str | None:
    if len(exchange.bodies) > 1:
        return _described(exchange, f"two answers: {sorted(exchange.bodies)}")
    return None


def _differs(exchange: Exchange, recorded: Recorded) -> str | None:
    if recorded.answer is not None and recorded.answer not in exchange.bodies:
        return _described(exchange, f"{exchange.bodies} was answered, {recorded.answer!r} is recorded")
    return None


def _lost(exchange: Exchange, recorded: Recorded) -> str | None:
    if recorded.entries != 1:
        return _described(exchange, f"{recorded.entries} times in the journal")
    return _described(exchange, "no answer in its record") if recorded.answer is None else None


def _described(exchange: Exchange, what: str) -> str:
    return f"{exchange.text.name} {exchange.sid} of {exchange.person.number}: {what}"
