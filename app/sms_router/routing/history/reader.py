"""Reads stored messages: the newest, the failed, one by its sid, those of a contact."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, cast

import redis

from sms_router.routing.history.record import FailureCause, Fields, MessageRecord, parse_record, sent_replies
from sms_router.routing.history.scheduled import list_scheduled
from sms_router.routing.history.streams import (
    DEAD_LETTERS,
    JOURNAL,
    Cursor,
    Stream,
    StreamEntry,
    StreamReader,
)
from sms_router.store.keys import ALL_BUCKETS, Bucket, bucket_of
from sms_router.twilio.inbound import parse_stored_request

BATCH = 200
"""Messages or stream entries per round trip."""

MAX_SEARCHED = 2000
"""Messages that one search reads: each takes processor time from the messages that arrive."""

MAX_CLOCK_DIFFERENCE = 600_000
"""Milliseconds by which the clock of a router, which may have dated a message, is ahead of Redis' clock."""

_Location = tuple[Bucket, str]
"""The bucket of a message, and its reference."""


class RecordPage(NamedTuple):
    """Some messages, the newest first."""

    records: list[MessageRecord]
    next_cursor: Cursor | None
    """Where the next page, with older messages, begins; None on the last page."""


class HistoryReader:
    """Reads stored messages.

    Args:
        client: redis-py's client, which returns bytes.

    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._streams = StreamReader(client)

    def recent(self, limit: int) -> list[MessageRecord]:
        """Return the newest messages."""
        return self._records([(entry.bucket, entry.reference) for entry in self._newest(limit)], {})

    def failed(self, limit: int, since: int = 0, cause: str = "") -> list[MessageRecord]:
        """Return the newest messages that are dead letters, each with all its causes.

        Args:
            limit: the most messages that are returned.
            since: milliseconds since the epoch; only messages that became dead letters after it.
            cause: only messages with a cause that contains this text, in any case.

        """
        buckets: dict[str, Bucket] = {}
        for entry in self._streams.newest(DEAD_LETTERS, BATCH):
            if len(buckets) == limit or entry.cause.at < since:
                break
            if cause.casefold() in entry.cause.text.casefold():
                buckets.setdefault(entry.reference, entry.bucket)
        locations = [(bucket, reference) for reference, bucket in buckets.items()]
        return self._records(locations, self._causes(locations))

    def page(self, limit: int, before: Cursor | None = None) -> RecordPage:
        """Return the newest messages, from the cursor of an earlier page on."""
        entries = self._newest(limit + 1, before)
        locations = [(entry.bucket, entry.reference) for entry in entries[:limit]]
        cursor = entries[limit - 1].cursor if len(entries) > limit else None
        return RecordPage(self._records(locations, self._causes(locations)), cursor)

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
        entries = islice(self._streams.newest(JOURNAL, batch, before, buckets), MAX_SEARCHED)
        locations: list[_Location] = []
        cursor = None
        for number, (entry, record) in enumerate(self._with_records(entries), start=1):
            if matches(record):
                locations.append((entry.bucket, entry.reference))
            if len(locations) == limit or number == MAX_SEARCHED:
                cursor = entry.cursor
                break
        return RecordPage(self._records(locations, self._causes(locations)), cursor)

    def failed_page(self, limit: int, before: Cursor | None = None) -> RecordPage:
        """Return the newest dead letters, each with its newest cause, from the cursor of an earlier page on.

        A message with several causes may be on several pages.
        """
        entries: dict[_Location, StreamEntry] = {}
        last = cursor = None
        for entry in self._streams.newest(DEAD_LETTERS, _batch_per_bucket(limit), before):
            location = (entry.bucket, entry.reference)
            if len(entries) == limit and location not in entries:
                cursor = last
                break
            entries.setdefault(location, entry)
            last = entry.cursor
        causes = {reference: [entry.cause] for (_, reference), entry in entries.items()}
        return RecordPage(self._records(list(entries), causes), cursor)

    def entries(self, stream: Stream) -> Iterator[StreamEntry]:
        """Yield the entries of the journals or of the dead letters, the newest first."""
        return self._streams.newest(stream, _batch_per_bucket(BATCH))

    def of_entries(self, entries: Iterable[StreamEntry]) -> list[MessageRecord]:
        """Return the messages of entries; dead letters among them have all their causes."""
        locations = [(entry.bucket, entry.reference) for entry in entries]
        return self._records(locations, self._causes(locations)) if locations else []

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
                return self._records([location], self._causes([location]))[0]
        return None

    def for_contact(self, contact: str, limit: int, depth: int = BATCH) -> list[MessageRecord]:
        """Return the newest messages of a contact; dead letters among them have all their causes.

        There is no index by contact: the last ``depth`` messages of the contact's bucket are searched.
        """
        bucket = bucket_of(contact)
        scheduled = list_scheduled(self._client, limit, contact)
        entries = islice(self._streams.newest_of(bucket, JOURNAL, BATCH), depth)
        locations: list[_Location] = [(bucket, entry.reference) for entry in scheduled]
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
        locations = locations[:limit]
        return self._records(locations, self._causes(locations))

    def scheduled(self, limit: int) -> list[MessageRecord]:
        """Return the messages that wait until they are due, the first ones first."""
        entries = list_scheduled(self._client, limit)
        return self.read((entry.contact, entry.reference) for entry in entries)

    def read(self, contacts_and_references: Iterable[tuple[str, str]]) -> list[MessageRecord]:
        """Return messages whose contacts are known, without the causes of dead letters."""
        locations = [(bucket_of(contact), reference) for contact, reference in contacts_and_references]
        return self._records(locations, {})

    def _causes(self, locations: Sequence[_Location]) -> dict[str, list[FailureCause]]:
        """Return why messages are dead letters, by reference, the newest cause first."""
        pipeline = self._client.pipeline(transaction=False)
        for bucket, reference in locations:
            pipeline.hget(bucket.message(reference), "received")
        oldest: dict[Bucket, int] = {}
        for (bucket, _), received in zip(locations, pipeline.execute(), strict=True):
            oldest[bucket] = min(oldest.get(bucket, sys.maxsize), int(received or 0) - MAX_CLOCK_DIFFERENCE)
        causes: dict[str, list[FailureCause]] = {reference: [] for _, reference in locations}
        for bucket, since in oldest.items():
            for entry in self._streams.newest_of(bucket, DEAD_LETTERS, BATCH, since=max(0, since)):
                if entry.reference in causes:
                    causes[entry.reference].append(entry.cause)
        return causes

    def _newest(self, limit: int, before: Cursor | None = None) -> list[StreamEntry]:
        """Return the newest journal entries of all buckets."""
        return list(islice(self._streams.newest(JOURNAL, _batch_per_bucket(limit), before), limit))

    def _with_records(self, entries: Iterator[StreamEntry]) -> Iterator[tuple[StreamEntry, MessageRecord]]:
        while chunk := list(islice(entries, BATCH)):
            records = self._read_batch([(entry.bucket, entry.reference) for entry in chunk], {})
            yield from zip(chunk, records, strict=True)

    def _records(
        self, locations: Sequence[_Location], causes: dict[str, list[FailureCause]]
    ) -> list[MessageRecord]:
        records: list[MessageRecord] = []
        for start in range(0, len(locations), BATCH):
            records += self._read_batch(locations[start : start + BATCH], causes)
        return records

    def _read_batch(
        self, locations: Sequence[_Location], causes: dict[str, list[FailureCause]]
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
