"""The opt-out list as people at a terminal see and change it; workers use `people.People`."""

from __future__ import annotations

import csv
import heapq
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO, cast

import redis

from sms_router.store import scripts
from sms_router.store.keys import ALL_BUCKETS, Bucket
from sms_router.store.redis_py import run_script

COLUMNS = ("number", "service", "since", "source")
"""Of the CSV file; ``since`` is ISO 8601, in UTC where it names no zone."""

AT_ONCE = 500
"""Entries that go to Redis in one round trip."""

LONGEST_SOURCE = 100

_PERSON = re.compile(r"(?:[a-z]+:)?\+[1-9][0-9]{6,14}")
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_OURS = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{3,8}")

Wrong = Callable[[str, str], str | None]
"""Says what is wrong with a number and a Service; None when nothing is."""


@dataclass(frozen=True, slots=True)
class OptOut:
    """One person on the list."""

    number: str
    service: str
    """The Service's sid, or one of our numbers outside Services."""
    since: int
    """Milliseconds since the epoch."""
    source: str


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line of a file that cannot be imported, and why."""

    line: int
    reason: str


class OptOutList:
    """The list in Redis; the client is redis-py's, answering bytes."""

    def __init__(self, client: redis.Redis, longest_belief: int) -> None:
        """``longest_belief`` is how long other facts of a person are kept, in milliseconds."""
        self._client = client
        self._longest_belief = longest_belief

    def entries(self, limit: int | None = None) -> Iterator[OptOut]:
        """Yield who is on the list: the newest, up to a limit, or everybody in no order."""
        if limit is None:
            for bucket in ALL_BUCKETS:
                found = self._client.zscan_iter(bucket.opt_outs, count=AT_ONCE)
                yield from self._whole(bucket, [(member, int(at)) for member, at in found])
            return
        newest = [
            (int(at), member, bucket)
            for bucket in ALL_BUCKETS
            for member, at in cast(
                "list[tuple[bytes, float]]",
                self._client.zrevrange(bucket.opt_outs, 0, limit - 1, withscores=True),
            )
        ]
        for at, member, bucket in heapq.nlargest(limit, newest, key=lambda each: each[0]):
            yield from self._whole(bucket, [(member, at)])

    def add(self, entries: Sequence[OptOut]) -> int:
        """Put people on the list; return how many of them were not on it.

        A later START of theirs is not overruled.
        """
        return self._run("stop", entries)

    def remove(self, entry: OptOut) -> bool:
        """Take a person off the list; tell whether they were on it."""
        return bool(self._run("start", [entry]))

    def _run(self, wish: str, entries: Sequence[OptOut]) -> int:
        pipeline = self._client.pipeline(transaction=False)
        for each in entries:
            call = scripts.change_consent(
                scope=each.service,
                contact=each.number,
                message=None,
                request=wish,
                source=each.source,
                requested_at=each.since,
                ttl_ms=self._longest_belief,
            )
            run_script(pipeline, call)
        return sum(map(int, pipeline.execute()))

    def _whole(self, bucket: Bucket, found: Sequence[tuple[bytes, int]]) -> Iterator[OptOut]:
        """Look up what put them on the list."""
        names = [tuple(member.decode().split(" ", 1)) for member, _ in found]
        pipeline = self._client.pipeline(transaction=False)
        for service, number in names:
            pipeline.hget(bucket.contact(service, number), ":opt-out")
        for (service, number), (_, at), out in zip(names, found, pipeline.execute(), strict=True):
            source = out.decode("utf-8", "replace").split(" ", 2)[-1] if out else "unknown"
            yield OptOut(number, service, at, source)


def validate_entry(number: str, service: str) -> str | None:
    """Say what is wrong with a person's number or with where they opted out."""
    if not _PERSON.fullmatch(number):
        return f"number: {number!r} should be like +14155550123"
    if not _SERVICE.fullmatch(service) and not _OURS.fullmatch(service):
        return f"service: {service!r} should be MG and 32 hex digits, or a number of ours outside Services"
    return None


def write_csv(file: TextIO, entries: Iterable[OptOut]) -> int:
    """Write a file that `read_csv` reads; return how many entries it has."""
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    count = 0
    for count, each in enumerate(entries, start=1):  # noqa: B007 - the count is what is returned
        since = datetime.fromtimestamp(each.since / 1000, UTC).isoformat(timespec="milliseconds")
        writer.writerow((each.number, each.service, since, each.source))
    return count


def read_csv(file: TextIO, service: str | None, wrong: Wrong, now: int) -> tuple[list[OptOut], list[BadLine]]:
    """Read a file with a header line; return the entries, and every line that is not one.

    Only ``number`` must be there. ``service`` is for lines that name none, ``now`` for lines without a
    time; ``wrong`` judges a number and its Service.
    """
    reader = csv.DictReader(file, restkey="")
    unknown = [name for name in reader.fieldnames or () if name not in COLUMNS]
    if "number" not in (reader.fieldnames or ()) or unknown:
        why = f"the first line must name the columns: {','.join(COLUMNS)}; only number is needed"
        return [], [BadLine(1, why)]
    entries: list[OptOut] = []
    bad: list[BadLine] = []
    for row in reader:
        entry = _entry({name: (row.get(name) or "").strip() for name in COLUMNS}, service, now)
        reason = entry if isinstance(entry, str) else wrong(entry.number, entry.service)
        if "" in row:
            reason = "has more values than columns"
        if reason is None and isinstance(entry, OptOut):
            entries.append(entry)
        else:
            bad.append(BadLine(reader.line_num, str(reason)))
    return entries, bad


def _entry(row: dict[str, str], service: str | None, now: int) -> OptOut | str:
    """Make an entry of a row, or say what is wrong with it."""
    if not row["number"]:
        return "number is missing"
    scope = row["service"] or service
    if scope is None:
        return "service is missing; write it, or name it for all lines: --service MG..."
    since = now
    if row["since"]:
        try:
            moment = datetime.fromisoformat(row["since"])
        except ValueError:
            return f"since: {row['since']!r} is no time like 2026-03-01T12:00:00Z"
        since = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
        if not 0 <= since <= now:
            return f"since: {row['since']} has not come yet, or is before 1970"
    return OptOut(row["number"], scope, since, (row["source"] or "import")[:LONGEST_SOURCE])
