"""The spool: what the journal could not take goes to a file, and back when Redis returns.

One file per worker, one line per script run; the scripts do not mind being run again. The disk has
a thread of its own, so that a slow one does not hold up the loop; the queue in front of it is
bounded, and what does not fit is counted and logged: answering people goes before remembering it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from app.store.spool_entry import Entry
from app.store.spool_files import SpoolFolder

log = logging.getLogger("sms_router.spool")

P = ParamSpec("P")
T = TypeVar("T")

MOST_QUEUED = 32 * 1024 * 1024
"""Bytes that wait in memory for the disk; a few seconds of the heaviest traffic."""


class Spool:
    """This worker's spool file, and the ones that dead workers left in the same folder."""

    def __init__(self, folder: Path, most_queued: int = MOST_QUEUED) -> None:
        """Name the folder; nothing is created before the first entry."""
        self._files = SpoolFolder(folder)
        self._disk = ThreadPoolExecutor(1, "spool")
        self._most_queued = most_queued
        self._queue: list[Entry] = []
        self._queued = 0
        self._added = 0
        self._settled = 0
        self._writing: asyncio.Task[None] | None = None
        self._failing = False
        self._closed = False
        self._lost = 0

    @property
    def kept(self) -> int:
        """Entries that wait to be restored, as far as this worker knows."""
        return self._added - self._settled + self._files.lines

    @property
    def dropped(self) -> int:
        """Entries that could not be kept, written, read or restored."""
        return self._lost + self._files.unreadable

    def add(self, entry: Entry) -> None:
        """Keep an entry; it reaches the disk in a moment."""
        if self._closed:
            self._fail(1, "the spool is closed")
        elif self._queued + entry.size > self._most_queued:
            self._fail(1, "more is to be written than the disk takes")
        else:
            self._added += 1
            self._queued += entry.size
            self._queue.append(entry)
            if self._writing is None:
                self._writing = asyncio.create_task(self._write(), name="spool-writer")

    def lose(self, count: int) -> None:
        """Count entries that nobody can restore; the caller has said why."""
        self._lost += count

    async def flush(self) -> None:
        """Wait until everything added so far is on disk, or lost."""
        added = self._added
        while self._settled < added and self._writing is not None:
            await asyncio.wait({self._writing})

    async def replay(self, restore: Callable[[Sequence[Entry]], Awaitable[None]]) -> int:
        """Hand every waiting entry to ``restore``, also what dead workers left; return how many.

        When ``restore`` raises, its entries and those behind them come again in the next replay;
        after a crash in between, all entries of the file do. One replay runs at a time.
        """
        await self.flush()
        if not self._closed:
            await self._on_disk(self._files.gather)
        restored = 0
        while not self._closed and (batch := await self._on_disk(self._files.batch)):
            await restore(batch)
            restored += len(batch)
            if not self._closed:
                await self._on_disk(self._files.advance)
        return restored

    async def aclose(self) -> None:
        """Bring everything to disk, and leave the files to the next process; nothing is taken any more."""
        if self._closed:
            return
        self._closed = True
        await self.flush()
        await self._on_disk(self._files.close)
        self._disk.shutdown(wait=False)

    async def _write(self) -> None:
        """Write what is queued, again and again until nothing is."""
        entries, self._queue = self._queue, []
        try:
            await self._on_disk(self._files.append, entries)
            self._failing = False
        except OSError as error:
            self._fail(len(entries), str(error))
        self._settled += len(entries)
        self._queued -= sum(entry.size for entry in entries)
        more = bool(self._queue)
        self._writing = asyncio.create_task(self._write(), name="spool-writer") if more else None

    async def _on_disk(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Do something in the disk's thread; one thing ends before the next begins, whoever is cancelled."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._disk, lambda: work(*arguments, **named))

    def _fail(self, count: int, why: str) -> None:
        if not self._failing:
            log.error("journal entries are lost, answers still go out: %s", why)
        self._failing = True
        self._lost += count
