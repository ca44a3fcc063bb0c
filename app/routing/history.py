"""What happened, newest first: read from the journal for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import cast

import redis

from app.store.keys import ALL_BUCKETS, Bucket, bucket_of
from app.twilio.form import MalformedFormError, parse_form
from app.twilio.inbound import InboundMessage, read_inbound
from app.twilio.twiml import read_own

Fields = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one message that left."""

    sid: str
    sender: str
    status: str
    error_code: str


@dataclass(frozen=True, slots=True)
class Episode:
    """One message from its arrival to what is known of its answer."""

    reference: str
    received: int | None
    """Milliseconds since the epoch."""
    message: InboundMessage | None
    outcome: str | None
    """None while nobody has answered."""
    rule: str | None
    sender: str | None
    trail: tuple[str, ...]
    texts: tuple[str, ...]
    causes: tuple[str, ...]
    sent: tuple[Sent, ...]

    @property
    def sid(self) -> str:
        """The message's sid."""
        return self.reference.partition("/")[2]


class History:
    """Reads the journal; the client is redis-py's, answering bytes."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def recent(self, limit: int) -> list[Episode]:
        """Return the newest messages."""
        return [
            self._episode(bucket, reference, ()) for bucket, reference, _ in self._newest("journal", limit)
        ]

    def failed(self, limit: int) -> list[Episode]:
        """Return the newest messages that are dead letters, each with every cause."""
        causes: dict[str, tuple[Bucket, list[str]]] = {}
        for bucket, reference, cause in self._newest("dead_letters", None):
            if reference in causes or len(causes) < limit:
                causes.setdefault(reference, (bucket, []))[1].append(cause)
        return [self._episode(bucket, ref, tuple(why)) for ref, (bucket, why) in causes.items()]

    def find(self, sid: str, account_sids: Iterable[str]) -> Episode | None:
        """Return one message of these accounts by its sid; whose it is tells only its record."""
        places = [(bucket, f"{account}/{sid}") for account in account_sids for bucket in ALL_BUCKETS]
        pipeline = self._client.pipeline(transaction=False)
        for bucket, reference in places:
            pipeline.exists(bucket.message(reference))
        for (bucket, reference), there in zip(places, pipeline.execute(), strict=True):
            if there:
                return self._episode(bucket, reference, tuple(self._causes(bucket, reference)))
        return None

    def _causes(self, bucket: Bucket, reference: str) -> Iterator[str]:
        """Yield why a message is a dead letter, the newest cause first."""
        letters = cast("list[tuple[bytes, Fields]]", self._client.xrevrange(bucket.dead_letters))
        for _, fields in letters:
            if fields[b"message"].decode() == reference:
                yield fields.get(b"cause", b"").decode("utf-8", "replace")

    def _newest(self, stream: str, limit: int | None) -> Iterator[tuple[Bucket, str, str]]:
        """Yield the newest entries of all buckets, or every one: where, which message, and the cause."""
        pipeline = self._client.pipeline(transaction=False)
        for bucket in ALL_BUCKETS:
            pipeline.xrevrange(getattr(bucket, stream), count=limit)
        found = cast("list[list[tuple[bytes, Fields]]]", pipeline.execute())
        entries = [
            (_order(entry), bucket, fields)
            for bucket, stream_entries in zip(ALL_BUCKETS, found, strict=True)
            for entry, fields in stream_entries
        ]
        for _, bucket, fields in sorted(entries, key=itemgetter(0), reverse=True)[:limit]:
            yield bucket, fields[b"message"].decode(), fields.get(b"cause", b"").decode("utf-8", "replace")

    def _episode(self, bucket: Bucket, reference: str, causes: tuple[str, ...]) -> Episode:
        fields = cast("Fields", self._client.hgetall(bucket.message(reference)))
        story = fields.get(b"story", b"").decode("utf-8", "replace").splitlines()
        sender, texts = _answered(fields.get(b"answer", b""))
        return Episode(
            reference=reference,
            received=int(fields[b"received"]) if b"received" in fields else None,
            message=_message(fields.get(b"request", b"")),
            outcome=fields[b"outcome"].decode() if b"outcome" in fields else None,
            rule=story[0] if story else None,
            sender=sender,
            trail=tuple(story[1:]),
            texts=texts,
            causes=causes,
            sent=tuple(self._sent(reference, fields)),
        )

    def _sent(self, reference: str, fields: Fields) -> Iterator[Sent]:
        message = _message(fields.get(b"request", b""))
        if message is None:
            return
        account = reference.partition("/")[0]
        for field in fields:
            if field.startswith(b"sent:"):
                sid = field.removeprefix(b"sent:").decode()
                key = bucket_of(message.sender).receipt(f"{account}/{sid}")
                receipt = cast("Fields", self._client.hgetall(key))
                yield Sent(
                    sid,
                    receipt.get(b"sender", b"").decode(),
                    receipt.get(b"status", b"").decode(),
                    receipt.get(b"error_code", b"").decode(),
                )


def _order(entry: bytes) -> tuple[int, int]:
    """Return a stream id as numbers: milliseconds, then the sequence."""
    milliseconds, _, sequence = entry.partition(b"-")
    return int(milliseconds), int(sequence)


def _answered(document: bytes) -> tuple[str | None, tuple[str, ...]]:
    """Return the sender and the texts of an answer; nothing where nothing was said."""
    messages = read_own(document)
    return messages[0].sender if messages else None, tuple(message.body for message in messages)


def _message(request: bytes) -> InboundMessage | None:
    try:
        message = read_inbound(dict(reversed(parse_form(request))))
    except MalformedFormError:
        return None
    return message if isinstance(message, InboundMessage) else None
