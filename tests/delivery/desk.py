"""Outboxes of workers on a real Valkey, with messages that were answered with nothing so far."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import redis

from sms_router.delivery.entry import MessagePart, OutboxEntry, ReplyKind
from sms_router.delivery.message import Cancelled, NotProcessed, OutboundSms, Result, SendLease
from sms_router.delivery.outbox import Outbox
from sms_router.store.keys import bucket_of
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.spool.spool import Spool
from sms_router.store.store import Store
from sms_router.twilio.twiml import OutboundMessage, render

ACCOUNT = "AC" + "0" * 32
SCOPE = "MG" + "0" * 32
PERSON = "+14155550123"
DAYS = 1.0
LATEST = 60.0

_FALL_DUE = """
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])) do
  redis.call('ZADD', KEYS[1], 0, entry)
end
"""


@dataclass(frozen=True, slots=True)
class Desk:
    """One worker's outbox, and a look at what is stored."""

    outbox: Outbox
    journal: DurableWriter
    store: Store
    valkey: redis.Redis

    def message(
        self,
        number: int = 1,
        *,
        person: str = PERSON,
        scope: str = SCOPE,
        received: int | None = None,
        answer: bytes | None = b"",
    ) -> OutboxEntry:
        """Write down a message that was answered, and return its late work."""
        sid = f"SM{number:032x}"
        entry = OutboxEntry(f"{ACCOUNT}/{sid}", ReplyKind.LATE.value, scope, person)
        request = {"MessageSid": sid, "AccountSid": ACCOUNT, "From": person, "To": "12345", "Body": "HI"}
        known = {"request": urlencode(request), "received": self.now() if received is None else received}
        if answer is not None:
            known["answer"] = answer
        self.valkey.hset(self.record(entry), mapping=cast("Any", known))
        self.valkey.pexpire(self.record(entry), 86_400_000)
        return entry

    async def piece(self, number: int = 1, texts: int = 1, **rest: Any) -> OutboxEntry:
        """Put a late answer of so many messages into the outbox; return the entry of the first."""
        work = self.message(number, **rest)
        document = render([OutboundMessage(f"text {at}") for at in range(texts)])
        assert await self.outbox.enqueue(work, ReplyKind.LATE, document, "a rule", texts, "late")
        return work._replace(name="late.0")

    def now(self) -> int:
        """Return the server's time in milliseconds."""
        seconds, micros = self.valkey.time()
        return seconds * 1000 + micros // 1000

    def record(self, entry: OutboxEntry) -> bytes:
        return bucket_of(entry.person).message(entry.reference)

    def state(self, entry: OutboxEntry) -> dict[str, Any]:
        """Return what is kept of a message that leaves."""
        found = cast("bytes | None", self.valkey.hget(self.record(entry), f"send:{entry.name}"))
        return cast("dict[str, Any]", json.loads(found)) if found else {}

    def waiting(self, person: str = PERSON) -> dict[OutboxEntry, float]:
        """Return what waits, and in how many seconds it is due."""
        pairs = cast("Any", self.valkey.zrange(bucket_of(person).outbox, 0, -1, withscores=True))
        return {OutboxEntry.read(line): (score - self.now()) / 1000 for line, score in pairs}

    def fall_due(self, *, marked: bool = True) -> None:
        """Let the time come of everything that waits, or only of what is not marked as leaving."""
        for key in self.valkey.scan_iter("*:outbox"):
            self.valkey.eval(_FALL_DUE, 1, key, "+inf" if marked else self.now() + 60_000)

    def causes(self, person: str = PERSON) -> list[str]:
        """Return why messages are dead letters."""
        found = cast("Any", self.valkey.xrange(bucket_of(person).dead_letters))
        return [entry[b"cause"].decode() for _, entry in found]

    async def mark(self, entry: OutboxEntry) -> SendLease | Cancelled | None:
        """Mark a message as leaving."""
        piece = entry.piece
        assert piece is not None
        return await self.outbox.mark_sending(entry, piece)

    async def settle(
        self, entry: OutboxEntry, marked: SendLease, result: Result, again: OutboxEntry | None = None
    ) -> None:
        """Write down how a message left."""
        piece = entry.piece
        assert piece is not None
        assert not isinstance(result, NotProcessed), "that is postponed"
        letter = a_letter(entry, piece)
        now = self.now()
        await self.outbox.record_result(entry, piece, letter, result, before=marked, now=now, again=again)


def a_letter(entry: OutboxEntry, piece: MessagePart) -> OutboundSms:
    """Return a message as it might leave."""
    return OutboundSms(
        ACCOUNT, SCOPE, "12345", entry.person, f"text {piece.number}", (), "https://example.com"
    )


@contextlib.asynccontextmanager
async def desk(url: str, folder: Path, valkey: redis.Redis) -> AsyncIterator[Desk]:
    """Run one worker's outbox."""
    store, spool = Store(url), Spool(folder)
    journal = DurableWriter(store, spool)
    await store.start(journal.replay)
    try:
        yield Desk(Outbox(store, journal, DAYS, LATEST), journal, store, valkey)
    finally:
        await store.aclose()
        await journal.aclose()
