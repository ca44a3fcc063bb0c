"""The entries of the journal and of the dead letters in all buckets, the newest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import merge
from operator import attrgetter
from typing import NamedTuple, cast

import redis

from sms_router.routing.history.paging import Cursor
from sms_router.routing.history.record import FailureCause, Fields
from sms_router.store.keys import ALL_BUCKETS, Bucket

Stream = Callable[[Bucket], bytes]
"""Names one of a bucket's streams."""

JOURNAL: Stream = attrgetter("journal")
DEAD_LETTERS: Stream = attrgetter("dead_letters")


class StreamEntry(NamedTuple):
    """An entry of the dead letters, or of the journal without a cause."""

    order: tuple[int, int]
    """Milliseconds since the epoch, then which one of these."""
    bucket: Bucket
    reference: str
    cause: FailureCause

    @property
    def position(self) -> Cursor:
        """Where it stands among those of all buckets."""
        return Cursor(*self.order, ALL_BUCKETS.index(self.bucket))


class StreamReader:
    """Reads the streams, some entries at a time; the client is redis-py's, answering bytes."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def backwards(self, stream: Stream, at_once: int, before: Cursor | None = None) -> Iterator[StreamEntry]:
        """Yield the entries of all buckets' streams, the newest first, from each some ``at_once``."""
        pipeline = self._client.pipeline(transaction=False)
        for number, bucket in enumerate(ALL_BUCKETS):
            pipeline.xrevrange(stream(bucket), before.end(number) if before else "+", count=at_once)
        pages = cast("list[list[tuple[bytes, Fields]]]", pipeline.execute())
        streams = [
            self.older(bucket, stream, at_once, page) for bucket, page in zip(ALL_BUCKETS, pages, strict=True)
        ]
        return merge(*streams, key=attrgetter("order"), reverse=True)

    def older(
        self,
        bucket: Bucket,
        stream: Stream,
        at_once: int,
        page: list[tuple[bytes, Fields]] | None = None,
        begin: int = 0,
    ) -> Iterator[StreamEntry]:
        """Yield one bucket's entries back to ``begin``; ``page`` is the first, where it is there."""
        end = "+"
        while True:
            if page is None:
                found = self._client.xrevrange(stream(bucket), end, begin, count=at_once)
                page = cast("list[tuple[bytes, Fields]]", found)
            for entry, fields in page:
                yield read_letter(bucket, entry, fields)
            if len(page) < at_once:
                return
            end, page = f"({page[-1][0].decode()}", None


def read_letter(bucket: Bucket, entry: bytes, fields: Fields) -> StreamEntry:
    """Read one entry."""
    milliseconds, _, sequence = entry.partition(b"-")
    cause = FailureCause(int(milliseconds), fields.get(b"cause", b"").decode("utf-8", "replace"))
    return StreamEntry((int(milliseconds), int(sequence)), bucket, fields[b"message"].decode(), cause)
