"""The opt-out list in Redis, for commands and the console; workers use `sms_router.routing.contacts`."""

from __future__ import annotations

import csv
import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, TextIO, cast

import redis

from sms_router.routing.handler.events import EventRecorder
from sms_router.routing.opt_outs.evidence import Event, Evidence, How
from sms_router.store.keys import ALL_BUCKETS, SUSPECTED, Bucket
from sms_router.store.redis_py import run_script
from sms_router.store.server_clock import server_time
from sms_router.twilio.phone_numbers import InvalidNumberError, parse_address, parse_contact
from sms_router.twilio.sids import SERVICE_SID

COLUMNS = ("number", "service", "since", "source")
"""Of the CSV file; ``since`` is ISO 8601, in UTC where it names no zone."""

BATCH_SIZE = 500
"""Entries that go to Redis in one round trip."""

MAX_SOURCE_LENGTH = 100


@dataclass(frozen=True, slots=True)
class OptOut:
    """A contact on the list."""

    number: str
    service: str
    """The Service's sid, or one of our numbers outside Services."""
    since: int
    """Milliseconds since the epoch."""
    source: str


@dataclass(frozen=True, slots=True)
class InvalidLine:
    """A line of a CSV file that cannot be imported, and why."""

    line: int
    reason: str


class SuspectedText(NamedTuple):
    """A text that may be meant as an opt-out, the latest one of a contact."""

    number: str
    service: str
    at: int
    """Milliseconds since the epoch."""
    reference: str
    """``AccountSid/MessageSid``."""


@dataclass(frozen=True, slots=True, eq=False)
class OptOutList:
    """The list in Redis, read and changed with redis-py's client, which returns bytes."""

    client: redis.Redis
    contact_ttl_ms: int
    """How long the other facts about a contact are kept, in milliseconds."""
    consent_retention_days: float
    """How long a START is kept."""
    events: EventRecorder = field(default_factory=EventRecorder)
    """Makes those of the team's handlers."""

    @property
    def _consent_ttl_ms(self) -> int:
        return int(self.consent_retention_days * 86_400_000)

    def new_entry(self, number: str, service: str, source: str) -> OptOut:
        """Return an entry with the time of Redis' clock, which orders it among a contact's STOP and START."""
        return OptOut(number, service, int(server_time(self.client) * 1000), source)

    def entries(self, limit: int | None = None) -> Iterator[OptOut]:
        """Yield the newest entries up to a limit, or all of them in no order."""
        if limit is None:
            for bucket in ALL_BUCKETS:
                members = self.client.zscan_iter(bucket.opt_outs, count=BATCH_SIZE)
                yield from self._read_entries(bucket, [(member, int(since)) for member, since in members])
            return
        newest = [
            (int(since), member, bucket)
            for bucket in ALL_BUCKETS
            for member, since in cast(
                "list[tuple[bytes, float]]",
                self.client.zrevrange(bucket.opt_outs, 0, limit - 1, withscores=True),
            )
        ]
        for since, member, bucket in heapq.nlargest(limit, newest, key=lambda each: each[0]):
            yield from self._read_entries(bucket, [(member, since)])

    def add(self, entries: Sequence[OptOut], how: How = How.OPERATOR) -> int:
        """Add contacts; return how many were not on the list. A contact's later START stays valid."""
        return self._run(Event.STOP, entries, how)

    def remove(self, entry: OptOut) -> bool:
        """Remove a contact; return whether they were on the list."""
        return bool(self._run(Event.START, [entry], How.OPERATOR))

    def suspected(self) -> list[SuspectedText]:
        """Return the contacts whose texts may be meant as an opt-out, the newest first."""
        entries = cast("dict[bytes, bytes]", self.client.hgetall(SUSPECTED)).items()
        names = [(*member.decode().split(" ", 1), *entry.decode().split(" ", 1)) for member, entry in entries]
        texts = [
            SuspectedText(number, service, int(at), reference) for service, number, at, reference in names
        ]
        return sorted(texts, key=lambda text: text.at, reverse=True)

    def dismiss(self, entries: Sequence[OptOut]) -> int:
        """Decide that the texts of suspected contacts are no opt-outs; return how many were among them.

        The decision is kept in the contact's ledger, at the time of the entry.
        """
        pipeline, dismissed = self.client.pipeline(transaction=False), self._take_suspected(entries)
        for entry, reference in dismissed:
            sid = reference.rpartition("/")[2]
            evidence = Evidence(Event.DISMISSED, How.OPERATOR, entry.source, message=sid)
            call = evidence.entry_call(entry.service, entry.number, entry.since, self._consent_ttl_ms)
            run_script(pipeline, call)
        pipeline.execute()
        return len(dismissed)

    def _take_suspected(self, entries: Sequence[OptOut]) -> list[tuple[OptOut, str]]:
        """Remove contacts from the suspected ones; return those that were, with their messages."""
        members = [f"{entry.service} {entry.number}" for entry in entries]
        if not members:
            return []
        values = cast("list[bytes | None]", self.client.hmget(SUSPECTED, members))
        self.client.hdel(SUSPECTED, *members)
        pairs = zip(entries, values, strict=True)
        return [(entry, value.decode().partition(" ")[2]) for entry, value in pairs if value is not None]

    def _run(self, request: Event, entries: Sequence[OptOut], how: How) -> int:
        pipeline = self.client.pipeline(transaction=False)
        events = self.events if how is How.OPERATOR else EventRecorder()
        ttls = self.contact_ttl_ms, self._consent_ttl_ms
        for entry in entries:
            evidence = Evidence(request, how, entry.source)
            call = evidence.change_call(entry.service, entry.number, entry.since, events, *ttls)
            run_script(pipeline, call)
        changes = pipeline.execute()
        self._take_suspected(entries)
        return sum(changed for changed, *_ in changes)

    def _read_entries(self, bucket: Bucket, members: Sequence[tuple[bytes, int]]) -> Iterator[OptOut]:
        names = [tuple(member.decode().split(" ", 1)) for member, _ in members]
        pipeline = self.client.pipeline(transaction=False)
        for service, number in names:
            pipeline.hget(bucket.contact(service, number), ":opt-out")
        for (service, number), (_, score), opt_out in zip(names, members, pipeline.execute(), strict=True):
            state = opt_out or b"0 %d 0 unknown" % score
            _, since, _, source = state.decode("utf-8", "replace").split(" ", 3)
            yield OptOut(number, service, int(since), source)


def parse_scope(text: str) -> str:
    """Return the scope of an opt-out: a Service's sid, or a number of ours.

    Raises:
        ValueError: when it is neither.

    """
    if SERVICE_SID.fullmatch(text):
        return text
    try:
        return parse_address(text)
    except InvalidNumberError as error:
        raise ValueError(
            f"service: {text!r} should be MG and 32 hex digits, or a number of ours outside Services"
        ) from error


def write_csv(file: TextIO, entries: Iterable[OptOut]) -> int:
    """Write a file that `read_csv` reads; return how many entries it has."""
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    count = 0
    for count, entry in enumerate(entries, start=1):  # noqa: B007 - the count is what is returned
        since = datetime.fromtimestamp(entry.since / 1000, UTC).isoformat(timespec="milliseconds")
        writer.writerow((entry.number, entry.service, since, entry.source))
    return count


def read_csv(file: TextIO, service: str | None, now: int) -> tuple[list[OptOut], list[InvalidLine]]:
    """Read a file whose first line names the columns; return the entries, and the lines that are invalid.

    Args:
        file: opened with ``newline=""``.
        service: for lines that name none.
        now: for lines without a time, in milliseconds since the epoch.

    """
    reader = csv.DictReader(file, restkey="")
    unknown = [name for name in reader.fieldnames or () if name not in COLUMNS]
    if "number" not in (reader.fieldnames or ()) or unknown:
        reason = f"the first line must name the columns: {','.join(COLUMNS)}; only number is required"
        return [], [InvalidLine(1, reason)]
    entries: list[OptOut] = []
    invalid: list[InvalidLine] = []
    for row in reader:
        entry = _parse_row({name: (row.get(name) or "").strip() for name in COLUMNS}, service, now)
        if "" in row:
            entry = "has more values than columns"
        if isinstance(entry, OptOut):
            entries.append(entry)
        else:
            invalid.append(InvalidLine(reader.line_num, entry))
    return entries, invalid


def _parse_row(row: dict[str, str], service: str | None, now: int) -> OptOut | str:
    """Return the entry of a row, or what is wrong with it."""
    if not row["number"]:
        return "number is missing"
    scope = row["service"] or service
    if scope is None:
        return "service is missing; write it, or give one for all lines: --service MG..."
    since = now
    if row["since"]:
        try:
            moment = datetime.fromisoformat(row["since"])
        except ValueError:
            return f"since: {row['since']!r} should be a time like 2026-03-01T12:00:00Z"
        since = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
        if not 0 <= since <= now:
            return f"since: {row['since']} is in the future, or before 1970"
    try:
        contact, scope = parse_contact(row["number"]), parse_scope(scope)
    except ValueError as error:
        return str(error)
    return OptOut(contact, scope, since, (row["source"] or "import")[:MAX_SOURCE_LENGTH])
