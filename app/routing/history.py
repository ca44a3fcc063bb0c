"""What happened, newest first: read from the journal for people at a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple, cast

import redis

from app.routing.episode import Cause, Episode, Fields, read_episode, replies_sent
from app.store.keys import ALL_BUCKETS, Bucket, bucket_of

AT_ONCE = 200
"""Messages that are read in one round trip."""


class Letter(NamedTuple):
    """An entry of the dead letters."""

    order: tuple[int, int]
    """Milliseconds since the epoch, then which one of these."""
    bucket: Bucket
    reference: str
    cause: Cause


class History:
    """Reads the journal; the client is redis-py's, answering bytes."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def recent(self, limit: int) -> list[Episode]:
        """Return the newest messages."""
        places = [(letter.bucket, letter.reference) for letter in self._newest("journal", limit)]
        return self._episodes(places, {})

    def failed(self, limit: int, since: int = 0, cause: str = "") -> list[Episode]:
        """Return the newest messages that are dead letters, each with every cause.

        With ``since`` (milliseconds since the epoch) and ``cause``, only those that became one after
        that for a cause which holds these words.
        """
        causes: defaultdict[str, list[Cause]] = defaultdict(list)
        places: dict[str, Bucket] = {}
        for letter in self._newest("dead_letters", None):
            causes[letter.reference].append(letter.cause)
            wanted = letter.cause.at >= since and cause.casefold() in letter.cause.text.casefold()
            if wanted and len(places) < limit:
                places.setdefault(letter.reference, letter.bucket)
        return self._episodes([(bucket, reference) for reference, bucket in places.items()], causes)

    def find(self, sid: str, account_sids: Iterable[str]) -> Episode | None:
        """Return one message of these accounts by its sid; whose it is tells only its record."""
        places = [(bucket, f"{account}/{sid}") for account in account_sids for bucket in ALL_BUCKETS]
        pipeline = self._client.pipeline(transaction=False)
        for bucket, reference in places:
            pipeline.exists(bucket.message(reference))
        for (bucket, reference), there in zip(places, pipeline.execute(), strict=True):
            if there:
                causes = {reference: list(self._causes(bucket, reference))}
                return self._episodes([(bucket, reference)], causes)[0]
        return None

    def read(self, people_and_references: Iterable[tuple[str, str]]) -> list[Episode]:
        """Return messages whose people are known, without the causes of their dead letters."""
        return self._episodes([(bucket_of(person), ref) for person, ref in people_and_references], {})

    def _causes(self, bucket: Bucket, reference: str) -> Iterator[Cause]:
        """Yield why a message is a dead letter, the newest cause first."""
        letters = cast("list[tuple[bytes, Fields]]", self._client.xrevrange(bucket.dead_letters))
        for entry, fields in letters:
            letter = _letter(bucket, entry, fields)
            if letter.reference == reference:
                yield letter.cause

    def _newest(self, stream: str, limit: int | None) -> list[Letter]:
        """Return the newest entries of all buckets, or every one."""
        pipeline = self._client.pipeline(transaction=False)
        for bucket in ALL_BUCKETS:
            pipeline.xrevrange(getattr(bucket, stream), count=limit)
        found = cast("list[list[tuple[bytes, Fields]]]", pipeline.execute())
        letters = [
            _letter(bucket, entry, fields)
            for bucket, entries in zip(ALL_BUCKETS, found, strict=True)
            for entry, fields in entries
        ]
        return sorted(letters, key=attrgetter("order"), reverse=True)[:limit]

    def _episodes(
        self, places: Sequence[tuple[Bucket, str]], causes: dict[str, list[Cause]]
    ) -> list[Episode]:
        """Read some messages with what became of everything that left for them."""
        episodes: list[Episode] = []
        for start in range(0, len(places), AT_ONCE):
            episodes += self._read(places[start : start + AT_ONCE], causes)
        return episodes

    def _read(
        self, places: Sequence[tuple[Bucket, str]], causes: dict[str, list[Cause]]
    ) -> Iterator[Episode]:
        pipeline = self._client.pipeline(transaction=False)
        for bucket, reference in places:
            pipeline.hgetall(bucket.message(reference))
        records = cast("list[Fields]", pipeline.execute())
        sids = [list(replies_sent(fields)) for fields in records]
        pipeline = self._client.pipeline(transaction=False)
        for (bucket, reference), left in zip(places, sids, strict=True):
            for sid in left:
                pipeline.hgetall(bucket.receipt(f"{reference.partition('/')[0]}/{sid}"))
        receipts = iter(cast("list[Fields]", pipeline.execute()))
        for (_, reference), fields, left in zip(places, records, sids, strict=True):
            known = {sid: next(receipts) for sid in left}
            yield read_episode(reference, fields, known, causes.get(reference, ()))


def _letter(bucket: Bucket, entry: bytes, fields: Fields) -> Letter:
    milliseconds, _, sequence = entry.partition(b"-")
    cause = Cause(int(milliseconds), fields.get(b"cause", b"").decode("utf-8", "replace"))
    return Letter((int(milliseconds), int(sequence)), bucket, fields[b"message"].decode(), cause)
