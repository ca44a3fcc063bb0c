"""Outboxes of workers on a real Valkey, with messages whose answer was empty so far."""

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
from sms_router.delivery.message import Cancelled, NotProcessed, OutboundSms, SendLease, SendResult
from sms_router.delivery.outbox import Outbox
from sms_router.store.keys import bucket_of
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.spool.spool import Spool
from sms_router.store.store import Store
from sms_router.twilio.twiml import OutboundMessage, render

ACCOUNT = "AC" + "0" * 32
SCOPE = "MG" + "0" * 32
CONTACT = "+14155550123"
RETENTION_DAYS = 1.0
MAX_AGE = 60.0

_MAKE_DUE = """
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])) do
  redis.call('ZADD', KEYS[1], 0, entry)
end
"""


@dataclass(frozen=True, slots=True)
class OutboxFixture:
    """One worker's outbox, and what is stored in Valkey."""

    outbox: Outbox
    journal: DurableWriter
    store: Store
    valkey: redis.Redis

    def add_message(
        self,
        number: int = 1,
        *,
        contact: str = CONTACT,
        scope: str = SCOPE,
        received: int | None = None,
        answer: bytes | None = b"",
    ) -> OutboxEntry:
        """Store an answered message; return the entry of its late work."""
        sid = f"SM{number:032x}"
        entry = OutboxEntry(f"{ACCOUNT}/{sid}", ReplyKind.LATE.value, scope, contact)
        request = {"MessageSid": sid, "AccountSid": ACCOUNT, "From": contact, "To": "12345", "Body": "HI"}
        known = {"request": urlencode(request), "received": self.now() if received is None else received}
        if answer is not None:
            known["answer"] = answer
        self.valkey.hset(self.record(entry), mapping=cast("Any", known))
        self.valkey.pexpire(self.record(entry), 86_400_000)
        return entry

    async def enqueue_reply(self, number: int = 1, texts: int = 1, **rest: Any) -> OutboxEntry:
        """Enqueue a late reply of ``texts`` messages; return the entry of the first."""
        work = self.add_message(number, **rest)
        document = render([OutboundMessage(f"text {index}") for index in range(texts)])
        assert await self.outbox.enqueue(work, ReplyKind.LATE, document, "a rule", texts, "late")
        return work._replace(name="late.0")

    def now(self) -> int:
        """Return the server's time in milliseconds."""
        seconds, micros = self.valkey.time()
        return seconds * 1000 + micros // 1000

    def record(self, entry: OutboxEntry) -> bytes:
        return bucket_of(entry.contact).message(entry.reference)

    def state(self, entry: OutboxEntry) -> dict[str, Any]:
        """Return the stored state of a message."""
        state = cast("bytes | None", self.valkey.hget(self.record(entry), f"send:{entry.name}"))
        return cast("dict[str, Any]", json.loads(state)) if state else {}

    def waiting(self, contact: str = CONTACT) -> dict[OutboxEntry, float]:
        """Return the waiting entries, with the seconds until each is due."""
        pairs = cast("Any", self.valkey.zrange(bucket_of(contact).outbox, 0, -1, withscores=True))
        return {OutboxEntry.read(line): (score - self.now()) / 1000 for line, score in pairs}

    def make_due(self, *, marked: bool = True) -> None:
        """Make all waiting entries due, or only those that are not marked as being sent."""
        for key in self.valkey.scan_iter("*:outbox"):
            self.valkey.eval(_MAKE_DUE, 1, key, "+inf" if marked else self.now() + 60_000)

    def dead_letter_causes(self, contact: str = CONTACT) -> list[str]:
        entries = cast("Any", self.valkey.xrange(bucket_of(contact).dead_letters))
        return [entry[b"cause"].decode() for _, entry in entries]

    async def mark_sending(self, entry: OutboxEntry) -> SendLease | Cancelled | None:
        part = entry.part
        assert part is not None
        return await self.outbox.mark_sending(entry, part)

    async def record_result(
        self, entry: OutboxEntry, marked: SendLease, result: SendResult, again: OutboxEntry | None = None
    ) -> None:
        part = entry.part
        assert part is not None
        assert not isinstance(result, NotProcessed), "that is postponed"
        message = sms_of(entry, part)
        now = self.now()
        await self.outbox.record_result(entry, part, message, result, lease=marked, now=now, resend=again)


def sms_of(entry: OutboxEntry, part: MessagePart) -> OutboundSms:
    """Build the message of an entry."""
    return OutboundSms(
        ACCOUNT, SCOPE, "12345", entry.contact, f"text {part.number}", (), "https://example.com"
    )


@contextlib.asynccontextmanager
async def run_outbox(url: str, folder: Path, valkey: redis.Redis) -> AsyncIterator[OutboxFixture]:
    """Run the outbox of one worker."""
    store, spool = Store(url), Spool(folder)
    journal = DurableWriter(store, spool)
    await store.start(journal.replay)
    try:
        yield OutboxFixture(Outbox(store, journal, RETENTION_DAYS, MAX_AGE), journal, store, valkey)
    finally:
        await store.aclose()
        await journal.aclose()
