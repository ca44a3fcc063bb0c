"""The spool: what the journal could not take goes to a file, and back when Redis returns.

One file per worker, one line per script run; the scripts do not mind being run again. The disk has
a thread of its own, so that a slow one does not hold up the loop; the queue in front of it is
bounded, and what does not fit is counted and logged: answering people goes before remembering it.
While the disk takes nothing, the queue is all there is; it is written, or restored, when either returns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from sms_router.store.spool.disk_thread import DiskThread
from sms_router.store.spool.files import BATCH, SpoolFolder
from sms_router.store.spool.spool_entry import SpoolEntry

log = logging.getLogger("sms_router.spool")

MOST_QUEUED = 32 * 1024 * 1024
"""Bytes that wait in memory for the disk; a few seconds of the heaviest traffic."""

TRY_AGAIN = 1.0
"""Seconds until a disk that took nothing is tried again."""


class Spool:
    """This worker's spool file, and the ones that dead workers left in the same folder."""

    def __init__(self, folder: Path, most_queued: int = MOST_QUEUED, try_again: float = TRY_AGAIN) -> None:
        """Name the folder; nothing is created before the first entry."""
        self._files = SpoolFolder(folder)
        self._disk = DiskThread("spool")
        self._most_queued = most_queued
        self._queue: list[SpoolEntry] = []
        self._queued = 0
        self._added = 0
        self._settled = 0
        self._writing: asyncio.Task[None] | None = None
        self._try_again = try_again
        self._rests_until: float | None = None
        """While the disk takes nothing: when it is tried again, on the loop's clock."""
        self._losing = False
        self._closed = False
        self._lost = 0

    @property
    def size(self) -> int:
        """Entries that wait to be restored, as far as this worker knows."""
        return self._added - self._settled + self._files.lines

    @property
    def dropped(self) -> int:
        """Entries that could not be kept, written, read or restored."""
        return self._lost + self._files.unreadable

    def add(self, entry: SpoolEntry) -> None:
        """Keep an entry; it reaches the disk in a moment."""
        if self._closed:
            self._fail(1, "the spool is closed")
        elif self._queued + entry.size > self._most_queued:
            self._fail(1, "more is to be written than the disk takes")
        else:
            self._added += 1
            self._queued += entry.size
            self._queue.append(entry)
            if self._writing is None and not self._resting:
                self._writing = asyncio.create_task(self._write(), name="spool-writer")

    def drop(self, count: int) -> None:
        """Count entries that nobody can restore; the caller has said why."""
        self._lost += count

    async def flush(self) -> None:
        """Wait until everything added so far is on disk, or the disk takes nothing."""
        added = self._added
        while self._settled < added and self._writing is not None:
            await asyncio.wait({self._writing})

    async def replay(self, restore: Callable[[Sequence[SpoolEntry]], Awaitable[None]]) -> int:
        """Hand every waiting entry to ``restore``, also what dead workers left; return how many.

        When ``restore`` raises, its entries and those behind them come again in the next replay;
        after a crash in between, all entries of the file do. One replay runs at a time.
        """
        await self.flush()
        if not self._closed:
            await self._disk.run(self._files.gather)
        restored = 0
        while not self._closed and (batch := await self._disk.run(self._files.batch)):
            await restore(batch)
            restored += len(batch)
            if not self._closed:
                await self._disk.run(self._files.advance)
        while self._rests_until is not None and not self._closed and (self._queue or self._writing):
            if self._queue:
                restored += await self._restore_from_memory(restore)
            await self.flush()
        return restored

    async def aclose(self) -> None:
        """Bring everything to disk, and leave the files to the next process; nothing is taken any more."""
        if self._closed:
            return
        self._closed = True
        await self.flush()
        if self._queue:
            await self._write()
        if self._queue:
            self._fail(len(self._queue), "the disk took nothing until the end")
            self._settle(self._queue)
            self._queue = []
        await self._disk.run(self._files.close)
        self._disk.close()

    @property
    def _resting(self) -> bool:
        """True while the disk takes nothing and is not to be tried again yet."""
        return self._rests_until is not None and asyncio.get_running_loop().time() < self._rests_until

    async def _write(self) -> None:
        """Write what is queued, again and again until nothing is, or the disk takes nothing."""
        entries, self._queue = self._queue, []
        try:
            await self._disk.run(self._files.append, entries)
        except OSError as error:
            self._queue = entries + self._queue
            if self._rests_until is None:
                log.error("the spool takes nothing, journal entries wait in memory: %s", error)
            self._rests_until = asyncio.get_running_loop().time() + self._try_again
            self._writing = None
            return
        self._rests_until = None
        self._losing = False
        self._settle(entries)
        more = bool(self._queue)
        self._writing = asyncio.create_task(self._write(), name="spool-writer") if more else None

    async def _restore_from_memory(self, restore: Callable[[Sequence[SpoolEntry]], Awaitable[None]]) -> int:
        """Restore the next entries that the disk has not taken; they stay when that fails."""
        batch, self._queue = self._queue[:BATCH], self._queue[BATCH:]
        try:
            await restore(batch)
        except BaseException:
            self._queue = batch + self._queue
            raise
        self._settle(batch)
        return len(batch)

    def _settle(self, entries: Sequence[SpoolEntry]) -> None:
        self._settled += len(entries)
        self._queued -= sum(entry.size for entry in entries)

    def _fail(self, count: int, why: str) -> None:
        if not self._losing:
            log.error("journal entries are lost, answers still go out: %s", why)
        self._losing = True
        self._lost += count
