"""The evidence of consent: an append-only ledger for each contact of a Service, and its export.

An entry has when and how a contact has opted out or in, what was answered, or which message was refused
because of an opt-out. A START adds an entry and erases none.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple, cast

import redis

from sms_router.routing.handler.events import EventRecorder
from sms_router.store import scripts
from sms_router.store.connection import encode
from sms_router.store.keys import ALL_BUCKETS, Bucket, bucket_of

MAX_TEXT = 1600
"""Characters of a text that are kept."""

BATCH_SIZE = 500
"""Ledgers that are read in one round trip."""

_DIGEST = "sha256"


class Event(StrEnum):
    """What an entry is about."""

    STOP = "stop"
    START = "start"
    REFUSED = "refused"
    """A message was not sent, because the contact has opted out."""
    DISMISSED = "dismissed"
    """An operator has decided that a text which speaks of stopping messages is no opt-out."""


class How(StrEnum):
    """How an opt-out or opt-in became known."""

    KEYWORD = "keyword"
    TWILIO = "Twilio's OptOutType"
    STATUS = "Twilio's error"
    OPERATOR = "operator"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is kept of one event; what is not known is empty."""

    event: Event
    how: str
    """One of `How`, or what wanted to send a refused message."""
    source: str = ""
    """The keyword, the error code, or what an operator or a file says."""
    message: str = ""
    """The sid of the message: the contact's, or the one of ours that failed or was not sent."""
    sender: str = ""
    """The number of ours that was texted, or that a message left from."""
    text: str = ""
    """What the contact has texted, or would have got."""
    answer: str = ""
    """What they were answered."""

    def id_at(self, at: int) -> str:
        """Return an id that is the same however often the event is recorded."""
        return f"{self.event}:{self.message or f'{at}:{sha256(self.source.encode()).hexdigest()[:8]}'}"

    def to_json(self) -> str:
        values = {name: value[:MAX_TEXT] for name, value in asdict(self).items() if value}
        return json.dumps(values, ensure_ascii=False, separators=(",", ":"))

    def change_call(
        self,
        scope: str,
        contact: str,
        at: int,
        events: EventRecorder,
        ttl_ms: int,
        consent_ttl_ms: int,
        reference: str | None = None,
        order: int | None = None,
    ) -> scripts.Call:
        """Return the call that puts a contact on the opt-out list or takes them off it, as ``event`` says.

        ``at`` is in milliseconds since the epoch; the time of arrival of the message ``reference`` counts
        before it. ``ttl_ms`` is how long the other facts about the contact are kept, ``consent_ttl_ms`` a
        START.
        """
        raised = events.record(
            "opted_out" if self.event is Event.STOP else "opted_in", scope, contact, str(at), at,
            account=(reference or "").partition("/")[0], to=self.sender, text=self.text,
            About=self.message, Reason=self.source,
        )  # fmt: skip
        return scripts.change_consent(
            scope=scope,
            contact=contact,
            message=reference,
            request=self.event,
            source=self.source,
            requested_at=at,
            order=order,
            ttl_ms=ttl_ms,
            consent_ttl_ms=consent_ttl_ms,
            entry_id=self.id_at(at),
            entry=encode(self.to_json()),
            raised=raised,
        )

    def entry_call(self, scope: str, contact: str, at: int, consent_ttl_ms: int) -> scripts.Call:
        """Return the call that appends the entry to a contact's ledger."""
        return scripts.record_evidence(
            scope=scope,
            contact=contact,
            at=at,
            consent_ttl_ms=consent_ttl_ms,
            entry_id=self.id_at(at),
            entry=encode(self.to_json()),
        )


class LedgerEntry(NamedTuple):
    """One entry of a contact's ledger."""

    at: str
    """ISO 8601, in UTC."""
    service: str
    number: str
    event: str
    how: str
    source: str
    message: str
    sender: str
    text: str
    answer: str

    def describe(self, reveal: bool) -> list[str]:
        """Return lines for people: what happened, the message, and the answer; ``reveal`` shows its text."""
        lines = [f"{self.at}  {self.event}: {self.how} {self.source}".rstrip() + f", in {self.service}"]
        text = self.text if reveal or not self.text else "•"
        if self.message or text:
            lines.append(" ".join(part for part in (self.message, self.sender, text) if part))
        return [*lines, f"answered: {self.answer}"] if self.answer else lines


COLUMNS = LedgerEntry._fields


def read_ledger(client: redis.Redis, contact: str) -> list[LedgerEntry]:
    """Return all entries of a contact, in every Service, the oldest ones first."""
    bucket = bucket_of(contact)
    pattern = "* " + "".join(f"[{letter}]" if letter in "*?[]\\" else letter for letter in contact)
    members = [member for member, _ in client.zscan_iter(bucket.consents, match=pattern, count=BATCH_SIZE)]
    return sorted(_read(client, bucket, members))


def read_all(client: redis.Redis) -> list[LedgerEntry]:
    """Return the entries of all contacts, the oldest ones first."""
    entries: list[LedgerEntry] = []
    for bucket in ALL_BUCKETS:
        members = cast("list[bytes]", client.zrange(bucket.consents, 0, -1))
        for start in range(0, len(members), BATCH_SIZE):
            entries += _read(client, bucket, members[start : start + BATCH_SIZE])
    return sorted(entries)


def _read(client: redis.Redis, bucket: Bucket, members: list[bytes]) -> Iterator[LedgerEntry]:
    pipeline = client.pipeline(transaction=False)
    names = [member.decode().split(" ", 1) for member in members]
    for service, number in names:
        pipeline.hgetall(bucket.consent(service, number))
    for (service, number), stored in zip(names, pipeline.execute(), strict=True):
        for name, value in stored.items():
            if name.startswith(b"entry:"):
                at, _, document = value.decode("utf-8", "replace").partition(" ")
                values = json.loads(document)
                rest = (str(values.get(column, "")) for column in COLUMNS[3:])
                moment = datetime.fromtimestamp(int(at) / 1000, UTC).isoformat(timespec="milliseconds")
                yield LedgerEntry(moment, service, number, *rest)


def to_csv(entries: Iterable[LedgerEntry]) -> str:
    """Return a CSV file whose last line has a digest of the lines before."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(entries)
    body = file.getvalue()
    return f"{body}{_DIGEST},{sha256(body.encode()).hexdigest()}\n"


def to_json(entries: Iterable[LedgerEntry]) -> str:
    """Return a JSON document with a digest of its entries."""
    rows = [entry._asdict() for entry in entries]
    return json.dumps({"entries": rows, _DIGEST: _digest(rows)}, indent=1, ensure_ascii=False) + "\n"


def verify(text: str) -> str | None:
    """Return the digest of an export that has not been changed; None for any other text."""
    if text.startswith("{"):
        try:
            document = json.loads(text)
            digest = str(document[_DIGEST])
            return digest if digest == _digest(document["entries"]) else None
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
    body, _, digest = text.removesuffix("\n").rpartition(f"{_DIGEST},")
    return digest if digest == sha256(body.encode()).hexdigest() else None


def _digest(rows: object) -> str:
    canonical = json.dumps(rows, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()
