"""Messages that are no replies and wait until they are due."""

from __future__ import annotations

from typing import cast

import redis

from sms_router.delivery.entry import OutboxEntry, ReplyKind
from sms_router.routing.history.record import MessageRecord
from sms_router.store.keys import ALL_BUCKETS, bucket_of
from sms_router.store.redis_py import run_script
from sms_router.store.scripts import outbox


def list_scheduled(client: redis.Redis, limit: int, contact: str | None = None) -> list[OutboxEntry]:
    """Return the first messages that are due, one entry of each, of all contacts or of one."""
    pipeline = client.pipeline(transaction=False)
    for bucket in ALL_BUCKETS if contact is None else (bucket_of(contact),):
        pipeline.zrange(bucket.scheduled, 0, limit - 1 if contact is None else -1, withscores=True)
    lines = [pair for pairs in pipeline.execute() for pair in cast("list[tuple[bytes, float]]", pairs)]
    entries = [OutboxEntry.read(line) for line, _ in sorted(lines, key=lambda pair: pair[1])]
    firsts = [entry for entry in entries if entry.name == "late.0" and contact in (None, entry.contact)]
    return firsts[:limit]


def cancel(client: redis.Redis, record: MessageRecord) -> bool:
    """Withdraw what still waits of a message that is no reply; return whether there was anything."""
    message = record.message
    if message is None or not message.is_outbound or message.service_sid is None:
        return False
    entry = OutboxEntry(record.reference, ReplyKind.LATE.value, message.service_sid, message.contact)
    suffix = entry.contact_suffix
    call = outbox.cancel(contact=entry.contact, reference=entry.reference, entry_suffix=suffix)
    return bool(run_script(client, call))
