"""The journal and dead-letter streams of all buckets, read as one list with the newest entries first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from operator import attrgetter
from typing import NamedTuple, cast

import redis

from sms_router.routing.history.record import FailureCause, Fields
from sms_router.store.keys import ALL_BUCKETS, Bucket

Stream = Callable[[Bucket], bytes]
"""Returns the key of a bucket's stream."""

JOURNAL: Stream = attrgetter("journal")
DEAD_LETTERS: Stream = attrgetter("dead_letters")

Location = tuple[Bucket, str]
"""The bucket of a message, and its reference."""

_CURSOR = re.compile(r"([0-9]{1,15})-([0-9]{1,15})-([0-9]{1,4})")


class Cursor(NamedTuple):
    """The position of an entry among those of all buckets: newest first, then the lowest bucket."""

    milliseconds: int
    sequence: int
    bucket: int

    def __str__(self) -> str:
        """Return the cursor as links contain it; `parse` reads it."""
        return f"{self.milliseconds}-{self.sequence}-{self.bucket}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        match = _CURSOR.fullmatch(text)
        return cls(*map(int, match.groups())) if match is not None else None

    def end_in(self, bucket: int) -> str:
        """Return the upper end of an XREVRANGE that continues after the cursor in a bucket's stream."""
        entry_id = f"{self.milliseconds}-{self.sequence}"
        return entry_id if bucket > self.bucket else f"({entry_id}"


class StreamEntry(NamedTuple):
    """An entry of a dead-letter stream, or of a journal, whose entries have no cause."""

    order: tuple[int, int]
    """Milliseconds since the epoch, then the sequence number within the millisecond."""
    bucket: Bucket
    reference: str
    cause: FailureCause

    @property
    def cursor(self) -> Cursor:
        return Cursor(*self.order, self.bucket.number)

    @property
    def location(self) -> Location:
        return self.bucket, self.reference

    @classmethod
    def parse(cls, bucket: Bucket, entry_id: bytes, fields: Fields) -> StreamEntry:
        milliseconds, _, sequence = entry_id.partition(b"-")
        cause = FailureCause(int(milliseconds), fields.get(b"cause", b"").decode("utf-8", "replace"))
        return cls((int(milliseconds), int(sequence)), bucket, fields[b"message"].decode(), cause)


def read_newest(
    client: redis.Redis,
    stream: Stream,
    batch: int,
    before: Cursor | None = None,
    buckets: Sequence[Bucket] = ALL_BUCKETS,
) -> Iterator[StreamEntry]:
    """Yield the entries of the buckets, the newest first; each read takes ``batch`` per bucket."""
    pipeline = client.pipeline(transaction=False)
    for bucket in buckets:
        pipeline.xrevrange(stream(bucket), before.end_in(bucket.number) if before else "+", count=batch)
    pages = cast("list[list[tuple[bytes, Fields]]]", pipeline.execute())
    streams = [
        read_bucket(client, bucket, stream, batch, page) for bucket, page in zip(buckets, pages, strict=True)
    ]
    return merge(*streams, key=attrgetter("order"), reverse=True)


def read_bucket(
    client: redis.Redis,
    bucket: Bucket,
    stream: Stream,
    batch: int,
    page: list[tuple[bytes, Fields]] | None = None,
    since: int = 0,
) -> Iterator[StreamEntry]:
    """Yield one bucket's entries, the newest first, ``batch`` per read.

    ``page`` is the first batch, where it has been read already. Entries before ``since``, in milliseconds
    since the epoch, are not read.
    """
    end = "+"
    while True:
        if page is None:
            entries = client.xrevrange(stream(bucket), end, since, count=batch)
            page = cast("list[tuple[bytes, Fields]]", entries)
        for entry_id, fields in page:
            yield StreamEntry.parse(bucket, entry_id, fields)
        if len(page) < batch:
            return
        end, page = f"({page[-1][0].decode()}", None
