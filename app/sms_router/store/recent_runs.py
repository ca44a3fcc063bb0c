"""The script runs of the last seconds, which a new server may have lost and which run there again.

A failover loses what the master had not passed on to its replica, a restart what had not reached the disk.
"""

from __future__ import annotations

import asyncio
import logging
import marshal
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import hiredis

from sms_router.store.connection import RedisReply
from sms_router.store.errors import RedirectedError, ScriptFailedError
from sms_router.store.keys import ALL_BUCKETS
from sms_router.store.resilient_connection import CHUNK_SIZE, Run, RunRecorder
from sms_router.store.scripts.loader import SCRIPTS, Call, Script
from sms_router.store.scripts.reruns import ScriptRun, plan_reruns

log = logging.getLogger("sms_router.store")

MAX_AGE = 30.0
"""Seconds before the last run; while Redis is away nothing becomes too old."""

MAX_RUNS = 10_000
MAX_BYTES = 8 * 1024 * 1024
"""Of memory for commands and responses, beside the latest `CHUNK_SIZE` runs."""

BATCH_SIZE = 500
"""Scripts that are sent at once."""


class _Chunk(NamedTuple):
    ended: float
    """When the last run ended."""
    run_count: int
    runs: bytes
    """The runs by `marshal`."""


class RecentRuns(RunRecorder):
    """The runs of one worker that have succeeded and written, bounded in age, number and bytes.

    Args:
        observe: is called with the name of each script that has run again, and its result.

    """

    def __init__(self, observe: Callable[[str, RedisReply], None] = lambda *_: None) -> None:
        super().__init__()
        self._observe = observe
        self._chunks: deque[_Chunk] = deque()
        self._run_count = self._bytes = 0
        """Of all chunks."""

    def pack(self) -> None:
        """Put the latest runs into one object: thousands of small ones would fill the processor's caches."""
        if not self.latest:
            return
        chunk = _Chunk(self.latest[-1][0], len(self.latest), marshal.dumps(self.latest))
        self.latest.clear()
        self._chunks.append(chunk)
        self._run_count += chunk.run_count
        self._bytes += len(chunk.runs)
        oldest = chunk.ended - MAX_AGE
        while len(self._chunks) > 1 and (
            self._run_count > MAX_RUNS or self._bytes > MAX_BYTES or self._chunks[0].ended < oldest
        ):
            removed = self._chunks.popleft()
            self._run_count -= removed.run_count
            self._bytes -= len(removed.runs)

    async def trim(self) -> None:
        """Forget what is too old; called every second."""
        self.pack()

    def _runs(self) -> Iterator[tuple[float, bytes, RedisReply]]:
        self.pack()
        for chunk in self._chunks:
            yield from marshal.loads(chunk.runs)  # noqa: S302 - written by `pack`

    def forget(self, tag: str) -> None:
        """Forget the runs on keys of a bucket, because one of its contacts was erased there."""
        prefix = f"{tag}:".encode()
        kept = [run for run in self._runs() if not _first_key(run[1]).startswith(prefix)]
        self._chunks.clear()
        self._run_count = self._bytes = 0
        for start in range(0, len(kept), CHUNK_SIZE):
            self.latest += kept[start : start + CHUNK_SIZE]
            self.pack()

    async def restore(self, run: Run) -> None:
        """Run again what a new server may have lost; called before it serves (`Store.restorers`).

        Raises:
            StoreUnavailableError: when the server fails in between; all is run again later.

        """
        runs = [_to_script_run(*each) for each in self._runs()]
        if not runs or (clock_offset := await _read_clock(run)) is None:
            return
        calls = plan_reruns(runs, lambda moment: round((moment + clock_offset) * 1000))
        restored = messages = 0
        for start in range(0, len(calls), BATCH_SIZE):
            batch = calls[start : start + BATCH_SIZE]
            results = await asyncio.gather(*map(run, batch), return_exceptions=True)
            for (script, _, _), result in zip(batch, results, strict=True):
                if isinstance(result, RedirectedError | ScriptFailedError):
                    continue  # the first is another node's; the second is logged, and would fail again
                if isinstance(result, BaseException):
                    raise result
                self._observe(script.name, result)
                has_restored = (result[0] if isinstance(result, list) else result) in {1, b"claimed"}
                restored += has_restored
                messages += has_restored and script.name.startswith(("claim", "commit"))
        log.info(
            "Redis is another server, or has started again: %d writes of the last %.0f s were run again; "
            "it had lost %d of them, with %d messages",
            len(calls), MAX_AGE, restored, messages,
        )  # fmt: skip


def _first_key(command: bytes) -> bytes:
    """Return the key after ``EVALSHA``, the digest and the number of keys, without reading the rest."""
    return command.split(b"\r\n", 9)[8]


def _to_script_run(ended: float, command: bytes, response: RedisReply) -> ScriptRun:
    reader = hiredis.Reader()
    reader.feed(command)
    _, digest, key_count, *parts = reader.gets()
    keys, arguments = tuple(parts[: int(key_count)]), tuple(parts[int(key_count) :])
    return ScriptRun(ended, (_scripts_by_digest()[digest], keys, arguments), response)


@cache
def _scripts_by_digest() -> dict[bytes, Script]:
    return {script.by_digest[1]: script for script in SCRIPTS.values()}


async def _read_clock(run: Run) -> float | None:
    """Return the seconds since the epoch, by the server, at the zero of the monotonic clock.

    None from a node of a Cluster that has no bucket.
    """
    for bucket in ALL_BUCKETS:
        call: Call = (SCRIPTS["get_time"], (bucket.probe,), ())
        try:
            seconds, microseconds = await run(call)
        except RedirectedError:
            continue
        return int(seconds) + int(microseconds) / 1_000_000 - time.monotonic()
    return None
