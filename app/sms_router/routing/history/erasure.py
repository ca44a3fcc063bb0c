"""Erasure of a contact's data: everything that Redis stores about a number.

All keys of a contact are in one bucket, and the keys of that contact alone end with the number. The
contact's messages are found through the bucket's journal, because a message's key does not contain the
number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar, cast

import redis

from sms_router.delivery.entry import OutboxEntry
from sms_router.routing.history.record import Fields, sent_replies
from sms_router.store.keys import CONSENTS_CHANNEL, ERASURES_CHANNEL, SUSPECTED, Bucket, bucket_of
from sms_router.store.server_clock import server_time
from sms_router.twilio.inbound import parse_stored_request

BATCH = 500
"""Entries per round trip."""

_PATTERN_CHARACTERS = re.compile(r"([*?\[\]\\])")
_ESCAPED = r"\\\1"

_Item = TypeVar("_Item", bytes, str)

Progress = Callable[[int], None]
"""Receives the number of entries that were read since the last call."""


@dataclass(slots=True)
class StoredData:
    """Everything that is stored about one contact."""

    bucket: Bucket
    messages: dict[str, Sequence[bytes]] = field(default_factory=dict)
    """References of the contact's messages, each with its entries in the journal."""
    in_progress: list[str] = field(default_factory=list)
    """References of messages that are claimed at this moment; they are not removed."""
    receipts: list[bytes] = field(default_factory=list)
    dead_letters: list[bytes] = field(default_factory=list)
    outbox: list[bytes] = field(default_factory=list)
    keys: dict[bytes, str] = field(default_factory=dict)
    """Keys of this contact alone, each with the kind of its content."""
    suspected: list[bytes] = field(default_factory=list)
    """Entries among the texts that may be meant as an opt-out."""
    opt_outs: list[bytes] = field(default_factory=list)
    """Entries on the opt-out list."""
    opt_out_keys: list[bytes] = field(default_factory=list)
    """Keys that contain only an opt-out, or its evidence."""
    evidence: list[bytes] = field(default_factory=list)
    """Ledgers of consent: ``scope contact``."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of entries of each kind, opt-outs excluded."""
        counts = {
            "messages": len(self.messages),
            "receipts": len(self.receipts),
            "dead_letters": len(self.dead_letters),
            "outbox": len(self.outbox),
            "suspected": len(self.suspected),
            **Counter(self.keys.values()),
        }
        return {kind: count for kind, count in counts.items() if count}


class ContactEraser:
    """Finds and removes everything that is stored about one contact."""

    def __init__(self, client: redis.Redis, contact: str, progress: Progress = lambda _: None) -> None:
        self._client = client
        self._contact = contact
        self._bucket = bucket_of(contact)
        self._progress = progress

    def find(self) -> StoredData:
        """Find everything; nothing is changed."""
        data = StoredData(self._bucket)
        self._find_messages(data)
        references = {reference.encode() for reference in data.messages}
        for entry, fields in self._stream(self._bucket.dead_letters):
            if fields.get(b"message") in references:
                data.dead_letters.append(entry)
        self._find_outbox(data)
        for list_key, members in (
            (self._bucket.opt_outs, data.opt_outs),
            (self._bucket.consents, data.evidence),
        ):
            for member, _ in self._client.zscan_iter(list_key, count=BATCH):
                self._progress(1)
                if member.decode("utf-8", "surrogateescape").partition(" ")[2] == self._contact:
                    members.append(member)
        for member in cast("list[bytes]", self._client.hkeys(SUSPECTED)):
            if member.decode("utf-8", "surrogateescape").partition(" ")[2] == self._contact:
                data.suspected.append(member)
        for key, kind in self._own_keys():
            if kind == "consent" or (kind == "contact" and self._client.hkeys(key) == [b":opt-out"]):
                data.opt_out_keys.append(key)
            else:
                data.keys[key] = kind
        return data

    def remove(self, data: StoredData, *, opt_out_too: bool) -> None:
        """Remove what `find` has found. After an interruption, another run removes the rest.

        The contact stays on the opt-out list, with the evidence, unless ``opt_out_too`` is set: otherwise
        nothing would keep the router from sending to them again, or prove why it does not.
        """
        self._in_batches(data.receipts, lambda pipeline, key: pipeline.unlink(key))
        bucket = data.bucket
        self._in_batches(data.dead_letters, lambda pipeline, entry: pipeline.xdel(bucket.dead_letters, entry))
        self._in_batches(data.outbox, lambda pipeline, line: pipeline.zrem(bucket.outbox, line))
        self._in_batches(data.outbox, lambda pipeline, line: pipeline.zrem(bucket.scheduled, line))
        self._in_batches(data.outbox, lambda pipeline, line: pipeline.zrem(bucket.events, line))
        self._in_batches(data.suspected, lambda pipeline, one: pipeline.hdel(SUSPECTED, one))
        for key, kind in data.keys.items():
            self._remove_key(key, keep_opt_out=kind == "contact" and not opt_out_too)
        if opt_out_too:
            self._in_batches(data.opt_out_keys, lambda pipeline, key: pipeline.unlink(key))
            self._in_batches(data.opt_outs, lambda pipeline, one: pipeline.zrem(bucket.opt_outs, one))
            self._in_batches(data.evidence, lambda pipeline, one: pipeline.zrem(bucket.consents, one))
            # The routers remove it from their caches, those on disk included.
            for opt_out in {*data.opt_outs, *data.evidence}:
                self._client.publish(CONSENTS_CHANNEL, b"forget 0 " + opt_out)
        self._in_batches(list(data.messages), lambda pipeline, one: pipeline.unlink(bucket.message(one)))
        self._client.publish(ERASURES_CHANNEL, bucket.tag)  # the routers run nothing of it again
        entries = [entry for entries in data.messages.values() for entry in entries]
        self._in_batches(entries, lambda pipeline, entry: pipeline.xdel(bucket.journal, entry))

    def _remove_key(self, key: bytes, *, keep_opt_out: bool) -> None:
        """Remove a key; with ``keep_opt_out`` its other fields only, if it contains an opt-out."""
        if not keep_opt_out or not self._client.hexists(key, ":opt-out"):
            self._client.unlink(key)
            return
        others = [name for name in cast("list[bytes]", self._client.hkeys(key)) if name != b":opt-out"]
        if others:
            self._client.hdel(key, *cast("list[str]", others))

    def _in_batches(
        self, items: Sequence[_Item], remove: Callable[[redis.client.Pipeline, _Item], object]
    ) -> None:
        for start in range(0, len(items), BATCH):
            pipeline = self._client.pipeline(transaction=False)
            for item in items[start : start + BATCH]:
                remove(pipeline, item)
            pipeline.execute()

    def _find_messages(self, data: StoredData) -> None:
        now = int(server_time(self._client) * 1000)
        entries = self._stream(self._bucket.journal)
        while batch := [(entry, fields[b"message"].decode()) for entry, fields in islice(entries, BATCH)]:
            pipeline = self._client.pipeline(transaction=False)
            for _, reference in batch:
                pipeline.hmget(self._bucket.message(reference), "request", "answer", "lease_until")
            for (entry, reference), (request, answer, lease) in zip(batch, pipeline.execute(), strict=True):
                message = parse_stored_request(request or b"")
                if message is None or message.contact != self._contact:
                    continue
                if answer is None and int(lease or 0) > now:
                    data.in_progress.append(reference)
                    continue
                data.messages[reference] = (*data.messages.get(reference, ()), entry)
                fields = cast("Fields", self._client.hgetall(self._bucket.message(reference)))
                account = reference.partition("/")[0]
                data.receipts += [self._bucket.receipt(f"{account}/{sid}") for sid in sent_replies(fields)]

    def _find_outbox(self, data: StoredData) -> None:
        """Find what waits to be sent; the journal does not have scheduled messages and events."""
        for name in (self._bucket.outbox, self._bucket.scheduled, self._bucket.events):
            for line, _ in self._client.zscan_iter(name, count=BATCH):
                self._progress(1)
                with suppress(ValueError):  # an entry of a newer version
                    entry = OutboxEntry.read(line)
                    if entry.contact != self._contact:
                        continue
                    data.outbox.append(line)
                    if name != self._bucket.outbox:
                        data.messages.setdefault(entry.reference, ())

    def _own_keys(self) -> Iterator[tuple[bytes, str]]:
        """Yield the keys of this contact alone, in every Service, each with the kind of its content."""
        prefix = f"{self._bucket.tag}:"
        pattern = f"{prefix}*:{_PATTERN_CHARACTERS.sub(_ESCAPED, self._contact)}"
        for key in self._client.scan_iter(match=pattern, count=BATCH):
            self._progress(1)
            yield key, key.decode("utf-8", "replace").removeprefix(prefix).partition(":")[0].replace("-", "_")

    def _stream(self, stream: bytes) -> Iterator[tuple[bytes, Fields]]:
        """Yield the entries of a stream, which are read in batches."""
        start = b"-"
        while True:
            entries = cast(
                "list[tuple[bytes, Fields]]", self._client.xrange(stream, min=start.decode(), count=BATCH)
            )
            yield from entries
            self._progress(len(entries))
            if len(entries) < BATCH:
                return
            start = b"(" + entries[-1][0]
