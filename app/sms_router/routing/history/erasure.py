"""Forgetting a person: everything that is kept of them, wherever it lies in Redis.

All keys of a person lie in one bucket, and those that are theirs alone end with their number. Their
messages are found through the bucket's journal, since a record's key does not say whose it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

import redis

from sms_router.delivery.entry import OutboxEntry
from sms_router.routing.history.record import Fields, replies_sent
from sms_router.store.keys import CONSENTS_CHANNEL, Bucket, bucket_of
from sms_router.store.server_clock import server_time
from sms_router.twilio.inbound import parse_stored_request

AT_ONCE = 500
"""Entries that are looked at in one round trip."""

_SPECIAL = re.compile(r"([*?\[\]\\])")
_ESCAPED = r"\\\1"
"""Characters that have a meaning in a pattern of Redis."""

_Found = TypeVar("_Found", bytes, str)

Progress = Callable[[int], None]
"""Is told how many more things were looked at."""


@dataclass(slots=True)
class StoredData:
    """What is kept of one person."""

    bucket: Bucket
    messages: dict[str, Sequence[bytes]] = field(default_factory=dict)
    """Their messages' references, each with its entries in the journal."""
    in_work: list[str] = field(default_factory=list)
    """References of messages that are being answered at this moment."""
    receipts: list[bytes] = field(default_factory=list)
    dead_letters: list[bytes] = field(default_factory=list)
    outbox: list[bytes] = field(default_factory=list)
    keys: dict[bytes, str] = field(default_factory=dict)
    """Keys that are theirs alone, each with what it holds."""
    opt_outs: list[bytes] = field(default_factory=list)
    """Their entries on the opt-out list."""
    opt_out_keys: list[bytes] = field(default_factory=list)
    """Keys that hold nothing but an opt-out."""

    @property
    def counts(self) -> Mapping[str, int]:
        """How much there is of each kind; opt-outs are not counted."""
        found = {
            "messages": len(self.messages),
            "receipts": len(self.receipts),
            "dead_letters": len(self.dead_letters),
            "outbox": len(self.outbox),
            **Counter(self.keys.values()),
        }
        return {kind: count for kind, count in found.items() if count}


class ContactEraser:
    """Finds and removes what is kept of one person; the client is redis-py's, answering bytes."""

    def __init__(self, client: redis.Redis, person: str, progress: Progress = lambda _: None) -> None:
        """``person`` is the address that they text from."""
        self._client = client
        self._person = person
        self._bucket = bucket_of(person)
        self._progress = progress

    def find(self) -> StoredData:
        """Look through everything; nothing is changed."""
        kept = StoredData(self._bucket)
        self._find_messages(kept)
        theirs = {reference.encode() for reference in kept.messages}
        for entry, fields in self._stream(self._bucket.dead_letters):
            if fields.get(b"message") in theirs:
                kept.dead_letters.append(entry)
        for line, _ in self._client.zscan_iter(self._bucket.outbox, count=AT_ONCE):
            self._progress(1)
            if _person_of(line) == self._person:
                kept.outbox.append(line)
        for member, _ in self._client.zscan_iter(self._bucket.opt_outs, count=AT_ONCE):
            self._progress(1)
            if member.decode("utf-8", "surrogateescape").partition(" ")[2] == self._person:
                kept.opt_outs.append(member)
        for key, kind in self._own_keys():
            if kind == "person" and self._client.hkeys(key) == [b"out"]:
                kept.opt_out_keys.append(key)
            else:
                kept.keys[key] = kind
        return kept

    def remove(self, kept: StoredData, *, opt_out_too: bool) -> None:
        """Remove what was found. Run again after an interruption, it removes the rest.

        On the opt-out list they stay, unless ``opt_out_too``: nobody could know any more that they
        wanted nothing from us.
        """
        self._in_batches(kept.receipts, lambda pipeline, key: pipeline.unlink(key))
        bucket = kept.bucket
        self._in_batches(kept.dead_letters, lambda pipeline, entry: pipeline.xdel(bucket.dead_letters, entry))
        self._in_batches(kept.outbox, lambda pipeline, line: pipeline.zrem(bucket.outbox, line))
        for key, kind in kept.keys.items():
            self._remove_key(key, stays=kind == "person" and not opt_out_too)
        if opt_out_too:
            self._in_batches(kept.opt_out_keys, lambda pipeline, key: pipeline.unlink(key))
            self._in_batches(kept.opt_outs, lambda pipeline, each: pipeline.zrem(bucket.opt_outs, each))
            for each in kept.opt_outs:  # the routers know them by heart, and on disk
                self._client.publish(CONSENTS_CHANNEL, b"start " + each)
        self._in_batches(list(kept.messages), lambda pipeline, each: pipeline.unlink(bucket.message(each)))
        entries = [entry for found in kept.messages.values() for entry in found]
        self._in_batches(entries, lambda pipeline, entry: pipeline.xdel(bucket.journal, entry))

    def _remove_key(self, key: bytes, *, stays: bool) -> None:
        """Remove a key; of one that holds an opt-out that stays, everything else."""
        if not stays or not self._client.hexists(key, "out"):
            self._client.unlink(key)
            return
        others = [name for name in cast("list[bytes]", self._client.hkeys(key)) if name != b"out"]
        if others:
            self._client.hdel(key, *cast("list[str]", others))

    def _in_batches(
        self, found: Sequence[_Found], remove: Callable[[redis.client.Pipeline, _Found], object]
    ) -> None:
        for start in range(0, len(found), AT_ONCE):
            pipeline = self._client.pipeline(transaction=False)
            for each in found[start : start + AT_ONCE]:
                remove(pipeline, each)
            pipeline.execute()

    def _find_messages(self, kept: StoredData) -> None:
        now = int(server_time(self._client) * 1000)
        batch: list[tuple[bytes, str]] = []
        for entry, fields in self._stream(self._bucket.journal):
            batch.append((entry, fields[b"message"].decode()))
            if len(batch) == AT_ONCE:
                self._sort_out(kept, batch, now)
                batch.clear()
        self._sort_out(kept, batch, now)

    def _sort_out(self, kept: StoredData, batch: Sequence[tuple[bytes, str]], now: int) -> None:
        """Find out which of these messages are theirs."""
        pipeline = self._client.pipeline(transaction=False)
        for _, reference in batch:
            pipeline.hmget(self._bucket.message(reference), "request", "answer", "lease")
        for (entry, reference), (request, answer, lease) in zip(batch, pipeline.execute(), strict=True):
            message = parse_stored_request(request or b"")
            if message is None or message.sender != self._person:
                continue
            if answer is None and int(lease or 0) > now:
                kept.in_work.append(reference)
                continue
            kept.messages[reference] = (*kept.messages.get(reference, ()), entry)
            fields = cast("Fields", self._client.hgetall(self._bucket.message(reference)))
            account = reference.partition("/")[0]
            kept.receipts += [self._bucket.receipt(f"{account}/{sid}") for sid in replies_sent(fields)]

    def _own_keys(self) -> Iterator[tuple[bytes, str]]:
        """Yield the keys that are theirs alone, in every Service, each with what it holds."""
        begins = f"{self._bucket.tag}:"
        theirs = f"{begins}*:{_SPECIAL.sub(_ESCAPED, self._person)}"
        for key in self._client.scan_iter(match=theirs, count=AT_ONCE):
            self._progress(1)
            yield key, key.decode("utf-8", "replace").removeprefix(begins).partition(":")[0]

    def _stream(self, stream: bytes) -> Iterator[tuple[bytes, Fields]]:
        """Yield the entries of a stream, some at a time."""
        begin = b"-"
        while True:
            found = cast(
                "list[tuple[bytes, Fields]]", self._client.xrange(stream, min=begin.decode(), count=AT_ONCE)
            )
            yield from found
            self._progress(len(found))
            if len(found) < AT_ONCE:
                return
            begin = b"(" + found[-1][0]


def _person_of(line: bytes) -> str | None:
    """Return whose entry of the outbox this is; None when it cannot be read, as from a newer version."""
    try:
        return OutboxEntry.read(line).person
    except ValueError:
        return None
