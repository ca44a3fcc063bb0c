"""What happened, newest first: read from the journal for people at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import cast

import redis

from sms_router.routing.history.paging import Cursor, RecordPage
from sms_router.routing.history.record import FailureCause, Fields, MessageRecord, parse_record, replies_sent
from sms_router.routing.history.streams import DEAD_LETTERS, JOURNAL, StreamEntry, StreamReader
from sms_router.store.keys import ALL_BUCKETS, Bucket, bucket_of
from sms_router.twilio.inbound import parse_stored_request

AT_ONCE = 200
"""Messages and dead letters that are read in one round trip."""

CLOCKS_DIFFER = 600_000
"""Milliseconds by which a router's clock, which may have dated a message, may be ahead of Redis'."""


class HistoryReader:
    """Reads the journal; the client is redis-py's, answering bytes."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._letters = StreamReader(client)

    def recent(self, limit: int) -> list[MessageRecord]:
        """Return the newest messages."""
        places = [(letter.bucket, letter.reference) for letter in self._newest(limit)]
        return self._episodes(places, {})

    def failed(self, limit: int, since: int = 0, cause: str = "") -> list[MessageRecord]:
        """Return the newest messages that are dead letters, each with every cause.

        With ``since`` (milliseconds since the epoch) and ``cause``, only those that became one after
        that for a cause which holds these words.
        """
        places: dict[str, Bucket] = {}
        for letter in self._letters.backwards(DEAD_LETTERS, AT_ONCE):
            if len(places) == limit or letter.cause.at < since:
                break
            if cause.casefold() in letter.cause.text.casefold():
                places.setdefault(letter.reference, letter.bucket)
        found = [(bucket, reference) for reference, bucket in places.items()]
        return self._episodes(found, self._causes(found))

    def page(self, limit: int, before: Cursor | None = None) -> RecordPage:
        """Return the newest messages, after a position that an earlier page ended at."""
        letters = self._newest(limit + 1, before)
        shown = [(letter.bucket, letter.reference) for letter in letters[:limit]]
        return RecordPage(
            self._episodes(shown, {}), letters[limit - 1].position if len(letters) > limit else None
        )

    def failed_page(self, limit: int, before: Cursor | None = None) -> RecordPage:
        """Return the newest dead letters in the same way, each with its newest cause.

        One with several causes may be on several pages.
        """
        found: dict[tuple[Bucket, str], StreamEntry] = {}
        last = older = None
        for letter in self._letters.backwards(DEAD_LETTERS, _share(limit), before):
            place = (letter.bucket, letter.reference)
            if len(found) == limit and place not in found:
                older = last
                break
            found.setdefault(place, letter)
            last = letter.position
        causes = {reference: [letter.cause] for (_, reference), letter in found.items()}
        return RecordPage(self._episodes(list(found), causes), older)

    def count_failed(self) -> int:
        """Return how many failures are kept; a message may have failed more than once."""
        pipeline = self._client.pipeline(transaction=False)
        for bucket in ALL_BUCKETS:
            pipeline.xlen(bucket.dead_letters)
        return sum(map(int, pipeline.execute()))

    def find(self, sid: str, account_sids: Iterable[str]) -> MessageRecord | None:
        """Return one message of these accounts by its sid; only its record tells whose it is."""
        places = [(bucket, f"{account}/{sid}") for account in account_sids for bucket in ALL_BUCKETS]
        pipeline = self._client.pipeline(transaction=False)
        for bucket, reference in places:
            # A receipt of what went to somebody else is noted under the message too, but in their bucket.
            pipeline.hexists(bucket.message(reference), "received")
        for (bucket, reference), there in zip(places, pipeline.execute(), strict=True):
            if there:
                found = [(bucket, reference)]
                return self._episodes(found, self._causes(found))[0]
        return None

    def for_contact(self, person: str, limit: int, depth: int = AT_ONCE) -> list[MessageRecord]:
        """Return somebody's newest messages, among the last ``depth`` of their bucket: nobody indexes them.

        Those that are dead letters have every cause.
        """
        bucket = bucket_of(person)
        letters = islice(self._letters.older(bucket, JOURNAL, AT_ONCE), depth)
        theirs: list[tuple[Bucket, str]] = []
        while len(theirs) < limit and (page := [letter.reference for letter in islice(letters, AT_ONCE)]):
            pipeline = self._client.pipeline(transaction=False)
            for reference in page:
                pipeline.hget(bucket.message(reference), "request")
            messages = map(parse_stored_request, (request or b"" for request in pipeline.execute()))
            theirs += [
                (bucket, reference)
                for reference, message in zip(page, messages, strict=True)
                if message is not None and message.sender == person
            ]
        found = theirs[:limit]
        return self._episodes(found, self._causes(found))

    def read(self, people_and_references: Iterable[tuple[str, str]]) -> list[MessageRecord]:
        """Return messages whose people are known, without the causes of their dead letters."""
        return self._episodes([(bucket_of(person), ref) for person, ref in people_and_references], {})

    def _causes(self, places: Sequence[tuple[Bucket, str]]) -> dict[str, list[FailureCause]]:
        """Return why messages are dead letters, the newest cause first."""
        pipeline = self._client.pipeline(transaction=False)
        for bucket, reference in places:
            pipeline.hget(bucket.message(reference), "received")
        begins: dict[Bucket, int] = {}
        for (bucket, _), received in zip(places, pipeline.execute(), strict=True):
            begins[bucket] = min(begins.get(bucket, sys.maxsize), int(received or 0) - CLOCKS_DIFFER)
        causes: dict[str, list[FailureCause]] = {reference: [] for _, reference in places}
        for bucket, begin in begins.items():
            for letter in self._letters.older(bucket, DEAD_LETTERS, AT_ONCE, begin=max(0, begin)):
                if letter.reference in causes:
                    causes[letter.reference].append(letter.cause)
        return causes

    def _newest(self, limit: int, before: Cursor | None = None) -> list[StreamEntry]:
        """Return the newest entries of all buckets' journals."""
        return list(islice(self._letters.backwards(JOURNAL, _share(limit), before), limit))

    def _episodes(
        self, places: Sequence[tuple[Bucket, str]], causes: dict[str, list[FailureCause]]
    ) -> list[MessageRecord]:
        """Read some messages with what became of everything that left for them."""
        episodes: list[MessageRecord] = []
        for start in range(0, len(places), AT_ONCE):
            episodes += self._read(places[start : start + AT_ONCE], causes)
        return episodes

    def _read(
        self, places: Sequence[tuple[Bucket, str]], causes: dict[str, list[FailureCause]]
    ) -> Iterator[MessageRecord]:
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
            yield parse_record(reference, fields, known, causes.get(reference, ()))


def _share(limit: int) -> int:
    """Return how many entries of one bucket are read at first, when so many in all are wanted."""
    return 2 + 4 * limit // len(ALL_BUCKETS)
