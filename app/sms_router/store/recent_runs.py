"""The script runs of the last seconds, which a new server may have lost and which run there again.

A failover loses what the master had not passed on to its replica, a restart what had not reached the disk.
"""

from __future__ import annotations

import asyncio
import logging
import marshal
import time
from collections import deque
from collections.abc import Callable
from itertools import starmap

import hiredis

from sms_router.store.connection import RedisReply
from sms_router.store.errors import RedirectedError, ScriptFailedError
from sms_router.store.keys import ALL_BUCKETS
from sms_router.store.resilient_connection import Run
from sms_router.store.scripts.loader import SCRIPTS, Call
from sms_router.store.scripts.reruns import ScriptRun, plan_reruns

log = logging.getLogger("sms_router.store")

MAX_AGE = 30.0
"""Seconds before the last run; while Redis is away nothing becomes too old."""

MAX_RUNS = 10_000
MAX_BYTES = 8 * 1024 * 1024
"""Of memory for keys, arguments and responses."""

RUN_SIZE = 160
"""Bytes of the objects that hold a run, beside its command and response."""

TRIM_SIZE = 100
"""Runs that are measured at once, a fraction of a millisecond."""

BATCH_SIZE = 500
"""Scripts that are sent at once."""


_BY_DIGEST = {script.by_digest[1]: script for script in SCRIPTS.values()}

_Run = tuple[float, bytes, bytes]
"""When it ended by the monotonic clock, its command, and its response by `marshal`: no garbage collection
visits them."""


class RecentRuns:
    """The runs of one worker that have succeeded and written, bounded in age, number and bytes.

    Args:
        observe: is called with the name of each script that has run again, and its result.

    """

    def __init__(self, observe: Callable[[str, RedisReply], None] = lambda *_: None) -> None:
        self._observe = observe
        self._latest: list[tuple[float, bytes, RedisReply]] = []
        """Since the last `trim`."""
        self.append = self._latest.append
        """Takes a run; no method, because every message calls it."""
        self._runs: deque[_Run] = deque()
        self._bytes = 0

    async def trim(self) -> None:
        """Forget what is beyond the bounds; called every second."""
        for _ in range(0, len(self._latest), TRIM_SIZE):
            self._trim_some()
            await asyncio.sleep(0)  # thousands of runs at once would delay messages by 40 ms

    def _trim_some(self) -> None:
        latest = self._latest[:TRIM_SIZE]
        del self._latest[:TRIM_SIZE]
        runs = [(ended, command, marshal.dumps(response)) for ended, command, response in latest]
        self._runs.extend(runs)
        self._bytes += sum(map(_size, runs))
        oldest = latest[-1][0] - MAX_AGE if latest else 0.0
        while self._runs and (
            self._bytes > MAX_BYTES or len(self._runs) > MAX_RUNS or self._runs[0][0] < oldest
        ):
            self._bytes -= _size(self._runs.popleft())

    def forget(self, tag: str) -> None:
        """Forget the runs on keys of a bucket, because one of its contacts was erased there."""
        prefix = f"{tag}:".encode()
        self._latest[:] = [run for run in self._latest if not _first_key(run[1]).startswith(prefix)]
        self._runs = deque(run for run in self._runs if not _first_key(run[1]).startswith(prefix))
        self._bytes = sum(map(_size, self._runs))

    async def restore(self, run: Run) -> None:
        """Run again what a new server may have lost; called before it serves (`Store.restorers`).

        Raises:
            StoreUnavailableError: when the server fails in between; all is run again later.

        """
        await self.trim()
        if not self._runs or (clock_offset := await _read_clock(run)) is None:
            return
        calls = plan_reruns(
            list(starmap(_to_run, self._runs)), lambda moment: round((moment + clock_offset) * 1000)
        )
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


def _to_run(ended: float, command: bytes, response: bytes) -> ScriptRun:
    reader = hiredis.Reader()
    reader.feed(command)
    _, digest, key_count, *parts = reader.gets()
    keys, arguments = tuple(parts[: int(key_count)]), tuple(parts[int(key_count) :])
    return ScriptRun(ended, (_BY_DIGEST[digest], keys, arguments), marshal.loads(response))  # noqa: S302 (its own)


def _size(run: _Run) -> int:
    return RUN_SIZE + len(run[1]) + len(run[2])


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
