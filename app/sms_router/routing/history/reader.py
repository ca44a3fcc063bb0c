"""Reads stored messages: the newest, the failed, one by its sid, those of a contact."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, tee
from types import MappingProxyType
from typing import NamedTuple, cast

import redis

from sms_router.delivery.entry import OutboxEntry
from sms_router.routing.history.record import FailureCause, Fields, MessageRecord, parse_record, sent_replies
from sms_router.routing.history.streams import (
    DEAD_LETTERS,
    JOURNAL,
    Cursor,
    Location,
    Stream,
    StreamEntry,
    read_bucket,
    read_newest,
)
from sms_router.store.keys import ALL_BUCKETS, Bucket, bucket_of
from sms_router.twilio.inbound import parse_stored_request

BATCH = 200
"""Messages or stream entries per round trip."""

MAX_SEARCHED = 2000
"""Messages that one search reads: each takes processor time from the messages that arrive."""

MAX_CLOCK_DIFFERENCE = 600_000
"""Milliseconds by which the clock of a router, which may have dated a message, is ahead of Redis' clock."""


class RecordPage(NamedTuple):
    """Some messages, the newest first."""

    records: list[MessageRecord]
    next_cursor: Cursor | None
    """Where the next page, with older messages, begins; None on the last page."""


class HistoryReader:
    """Reads stored messages with redis-py's client, which returns bytes."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def recent(self, limit: int) -> list[MessageRecord]:
        return list(self._read(entry.location for entry in self._newest(limit)))

    def failed(self, limit: int, since: int = 0, cause: str = "") -> list[MessageRecord]:
        """Return the newest messages that are dead letters, each with all its causes.

        Args:
            limit: the most messages that are returned.
            since: milliseconds since the epoch; only messages that became dead letters after it.
            cause: only messages with a cause that contains this text, in any case.

        """
        entries: dict[str, StreamEntry] = {}
        for entry in read_newest(self._client, DEAD_LETTERS, BATCH):
            if len(entries) == limit or entry.cause.at < since:
                break
            if cause.casefold() in entry.cause.text.casefold():
                entries.setdefault(entry.reference, entry)
        return self.of_entries(entries.values())

    def page(self, limit: int, before: Cursor | None = None) -> RecordPage:
        """Return the newest messages, from the cursor of an earlier page on."""
        entries = self._newest(limit + 1, before)
        cursor = entries[limit - 1].cursor if len(entries) > limit else None
        return RecordPage(self.of_entries(entries[:limit]), cursor)

    def search(
        self,
        matches: Callable[[MessageRecord], bool],
        limit: int,
        before: Cursor | None = None,
        contact: str = "",
    ) -> RecordPage:
        """Return the newest messages that match, from the cursor of an earlier page on.

        At most `MAX_SEARCHED` messages are read, of one contact's bucket if ``contact`` is given; a page may
        be empty and have a next one.
        """
        buckets = [bucket_of(contact)] if contact else ALL_BUCKETS
        batch = BATCH if contact else _batch_per_bucket(MAX_SEARCHED // 4)
        newest = islice(read_newest(self._client, JOURNAL, batch, before, buckets), MAX_SEARCHED)
        entries, copies = tee(newest)
        records = self._read(entry.location for entry in copies)
        found: list[StreamEntry] = []
        cursor = None
        for number, (entry, record) in enumerate(zip(entries, records, strict=True), start=1):
            if matches(record):
                found.append(entry)
            if len(found) == limit or number == MAX_SEARCHED:
                cursor = entry.cursor
                break
        return RecordPage(self.of_entries(found), cursor)

    def failed_page(self, limit: int, before: Cursor | None = None) -> RecordPage:
        """Return the newest dead letters, each with its newest cause, from the cursor of an earlier page on.

        A message with several causes may be on several pages.
        """
        entries: dict[Location, StreamEntry] = {}
        last = cursor = None
        for entry in read_newest(self._client, DEAD_LETTERS, _batch_per_bucket(limit), before):
            if len(entries) == limit and entry.location not in entries:
                cursor = last
                break
            entries.setdefault(entry.location, entry)
            last = entry.cursor
        causes = {reference: [entry.cause] for (_, reference), entry in entries.items()}
        return RecordPage(list(self._read(entries, causes)), cursor)

    def entries(self, stream: Stream) -> Iterator[StreamEntry]:
        """Yield the entries of the journals or of the dead letters, the newest first."""
        return read_newest(self._client, stream, _batch_per_bucket(BATCH))

    def of_entries(self, entries: Iterable[StreamEntry]) -> list[MessageRecord]:
        """Return the messages of entries; dead letters among them have all their causes."""
        return self._with_causes([entry.location for entry in entries])

    def count_failed(self) -> int:
        """Return the number of dead letters; a message may have several."""
        pipeline = self._client.pipeline(transaction=False)
        for bucket in ALL_BUCKETS:
            pipeline.xlen(bucket.dead_letters)
        return sum(map(int, pipeline.execute()))

    def find(self, sid: str, account_sids: Iterable[str]) -> MessageRecord | None:
        """Return the message with a sid, if it belongs to one of the accounts.

        Its bucket depends on the contact, who is unknown, so that all buckets are searched.
        """
        locations = [(bucket, f"{account}/{sid}") for account in account_sids for bucket in ALL_BUCKETS]
        pipeline = self._client.pipeline(transaction=False)
        for bucket, reference in locations:
            # A receipt of a message to another contact is noted in that contact's bucket, without "received".
            pipeline.hexists(bucket.message(reference), "received")
        for location, exists in zip(locations, pipeline.execute(), strict=True):
            if exists:
                return self._with_causes([location])[0]
        return None

    def for_contact(self, contact: str, limit: int, depth: int = BATCH) -> list[MessageRecord]:
        """Return the newest messages of a contact; dead letters among them have all their causes.

        There is no index by contact: the last ``depth`` messages of the contact's bucket are searched.
        """
        bucket = bucket_of(contact)
        entries = islice(read_bucket(self._client, bucket, JOURNAL, BATCH), depth)
        locations: list[Location] = [
            (bucket, entry.reference) for entry in self._scheduled((bucket,), -1) if entry.contact == contact
        ]
        while len(locations) < limit and (page := [entry.reference for entry in islice(entries, BATCH)]):
            pipeline = self._client.pipeline(transaction=False)
            for reference in page:
                pipeline.hget(bucket.message(reference), "request")
            messages = map(parse_stored_request, (request or b"" for request in pipeline.execute()))
            locations += [
                (bucket, reference)
                for reference, message in zip(page, messages, strict=True)
                if message is not None and message.contact == contact
            ]
        return self._with_causes(locations[:limit])

    def scheduled(self, limit: int) -> list[MessageRecord]:
        """Return the messages that wait until they are due, the first ones first."""
        entries = self._scheduled(ALL_BUCKETS, limit - 1)[:limit]
        return self.read((entry.contact, entry.reference) for entry in entries)

    def _scheduled(self, buckets: Sequence[Bucket], last: int) -> list[OutboxEntry]:
        """Return what waits in some buckets, up to a place in each: one entry of each message."""
        pipeline = self._client.pipeline(transaction=False)
        for bucket in buckets:
            pipeline.zrange(bucket.scheduled, 0, last, withscores=True)
        lines = [pair for pairs in pipeline.execute() for pair in cast("list[tuple[bytes, float]]", pairs)]
        entries = [OutboxEntry.read(line) for line, _ in sorted(lines, key=lambda pair: pair[1])]
        return [entry for entry in entries if entry.name == "late.0"]

    def read(self, contacts_and_references: Iterable[tuple[str, str]]) -> list[MessageRecord]:
        """Return messages whose contacts are known, without the causes of dead letters."""
        locations = [(bucket_of(contact), reference) for contact, reference in contacts_and_references]
        return list(self._read(locations))

    def _with_causes(self, locations: Sequence[Location]) -> list[MessageRecord]:
        return list(self._read(locations, self._causes(locations))) if locations else []

    def _causes(self, locations: Sequence[Location]) -> dict[str, list[FailureCause]]:
        """Return why messages are dead letters, by reference, the newest cause first."""
        pipeline = self._client.pipeline(transaction=False)
        for bucket, reference in locations:
            pipeline.hget(bucket.message(reference), "received")
        oldest: dict[Bucket, int] = {}
        for (bucket, _), received in zip(locations, pipeline.execute(), strict=True):
            oldest[bucket] = min(oldest.get(bucket, sys.maxsize), int(received or 0) - MAX_CLOCK_DIFFERENCE)
        causes: dict[str, list[FailureCause]] = {reference: [] for _, reference in locations}
        for bucket, since in oldest.items():
            for entry in read_bucket(self._client, bucket, DEAD_LETTERS, BATCH, since=max(0, since)):
                if entry.reference in causes:
                    causes[entry.reference].append(entry.cause)
        return causes

    def _newest(self, limit: int, before: Cursor | None = None) -> list[StreamEntry]:
        """Return the newest journal entries of all buckets."""
        return list(islice(read_newest(self._client, JOURNAL, _batch_per_bucket(limit), before), limit))

    def _read(
        self,
        locations: Iterable[Location],
        causes: Mapping[str, Sequence[FailureCause]] = MappingProxyType({}),
    ) -> Iterator[MessageRecord]:
        iterator = iter(locations)
        while batch := list(islice(iterator, BATCH)):
            yield from self._read_batch(batch, causes)

    def _read_batch(
        self, locations: Sequence[Location], causes: Mapping[str, Sequence[FailureCause]]
    ) -> Iterator[MessageRecord]:
        """Read messages in two round trips: their hashes, then the receipts of what was sent for them."""
        pipeline = self._client.pipeline(transaction=False)
        for bucket, reference in locations:
            pipeline.hgetall(bucket.message(reference))
        hashes = cast("list[Fields]", pipeline.execute())
        sids_of_each = [list(sent_replies(fields)) for fields in hashes]
        pipeline = self._client.pipeline(transaction=False)
        for (bucket, reference), sids in zip(locations, sids_of_each, strict=True):
            for sid in sids:
                pipeline.hgetall(bucket.receipt(f"{reference.partition('/')[0]}/{sid}"))
        results = iter(cast("list[Fields]", pipeline.execute()))
        for (_, reference), fields, sids in zip(locations, hashes, sids_of_each, strict=True):
            receipts = {sid: next(results) for sid in sids}
            yield parse_record(reference, fields, receipts, causes.get(reference, ()))


def _batch_per_bucket(limit: int) -> int:
    """Return how many entries of each bucket are read first when ``limit`` of all are wanted."""
    return 2 + 4 * limit // len(ALL_BUCKETS)
