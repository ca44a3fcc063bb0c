"""The spool: writes that Redis did not accept go to the disk, and to Redis when it serves again.

The queue in front of the disk is bounded. What does not fit is counted and logged: an answer is more
important than its record. While the disk refuses writes, entries stay in the queue until the disk or Redis
accepts them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from sms_router.store.local_database import DISK_ERRORS, DiskThread
from sms_router.store.spool.files import BATCH_SIZE, SpoolEntry, SpoolFolder
from sms_router.tasks import cancel_and_wait

log = logging.getLogger("sms_router.spool")

MAX_QUEUED_BYTES = 32 * 1024 * 1024
"""Bytes that wait in memory for the disk; a few seconds of the heaviest traffic."""

SYNC_INTERVAL = 0.2
"""Seconds between two fsyncs: what a power failure may cost while Redis is away."""

RETRY_INTERVAL = 1.0
"""Seconds until a disk that refused a write is tried again."""

Restore = Callable[[Sequence[SpoolEntry]], Awaitable[None]]


class Spool:
    """This worker's spool, which also restores what dead workers left in the same folder."""

    def __init__(
        self, folder: Path, max_queued_bytes: int = MAX_QUEUED_BYTES, retry_interval: float = RETRY_INTERVAL
    ) -> None:
        """``folder`` is created with the first entry."""
        self._files = SpoolFolder(folder)
        self._disk = DiskThread("spool")
        self._max_queued_bytes = max_queued_bytes
        self._queue: list[SpoolEntry] = []
        self._queued_bytes = 0
        self._added = 0
        self._settled = 0
        self._writing: asyncio.Task[None] | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._retry_interval = retry_interval
        self._retry_at: float | None = None
        """While the disk refuses writes: when the next try is due, on the loop's clock."""
        self._losing = False
        self._closed = False
        self._lost = 0

    @property
    def size(self) -> int:
        """Entries that wait to be restored, of which this worker has a record."""
        return self._added - self._settled + self._files.size

    @property
    def dropped(self) -> int:
        """Entries that could not be kept, written, read or restored."""
        return self._lost + self._files.lost

    def add(self, entry: SpoolEntry) -> None:
        """Take an entry; it is on the disk a moment later."""
        if self._closed:
            self._lose(1, "the spool is closed")
        elif self._queued_bytes + entry.size > self._max_queued_bytes:
            self._lose(1, "the disk is too slow for the entries")
        else:
            self._added += 1
            self._queued_bytes += entry.size
            self._queue.append(entry)
            if self._writing is None and not self._is_waiting_for_retry:
                self._writing = asyncio.create_task(self._write(), name="spool-writer")

    def drop(self) -> None:
        """Count an entry that can never be restored; the caller has logged why."""
        self._lost += 1

    async def flush(self) -> None:
        """Wait until everything added so far is on the disk, or the disk refuses it."""
        added = self._added
        while self._settled < added and self._writing is not None:
            await asyncio.wait({self._writing})

    async def replay(self, restore: Restore) -> int:
        """Pass every waiting entry to ``restore``, also those of dead workers; return how many.

        When ``restore`` raises, its entries and those behind them come again in the next replay;
        after a crash in between, all entries of the file do. One replay runs at a time.
        """
        await self.flush()
        if not self._closed:
            await self._disk.run(self._files.adopt)
        restored = 0
        while not self._closed and (batch := await self._disk.run(self._files.read_batch)):
            await restore(batch)
            restored += len(batch)
            if not self._closed:
                self._files.advance()
        while self._retry_at is not None and not self._closed and (self._queue or self._writing):
            if self._queue:
                restored += await self._restore_from_memory(restore)
            await self.flush()
        return restored

    async def aclose(self) -> None:
        """Write everything to the disk and leave the files to the next process; later entries are lost."""
        if self._closed:
            return
        self._closed = True
        await self.flush()
        if self._queue:
            await self._write()
        if self._queue:
            self._lose(len(self._queue), "the disk refused them until the end")
            self._settle(self._queue)
            self._queue = []
        await cancel_and_wait(self._syncing)
        await self._disk.run(self._files.close)
        self._disk.close()

    @property
    def _is_waiting_for_retry(self) -> bool:
        return self._retry_at is not None and asyncio.get_running_loop().time() < self._retry_at

    async def _write(self) -> None:
        """Write the queue until it is empty or the disk refuses it."""
        entries, self._queue = self._queue, []
        try:
            file = await self._disk.run(self._files.append, entries)
        except DISK_ERRORS as error:
            self._queue = entries + self._queue
            if self._retry_at is None:
                log.error("the disk refuses journal entries, they wait in memory: %s", error)
            self._retry_at = asyncio.get_running_loop().time() + self._retry_interval
            self._writing = None
            return
        self._retry_at = None
        self._losing = False
        self._settle(entries)
        file.size += len(entries)
        if self._syncing is None:
            self._syncing = asyncio.create_task(self._sync(), name="spool-sync")
        more = bool(self._queue)
        self._writing = asyncio.create_task(self._write(), name="spool-writer") if more else None

    async def _sync(self) -> None:
        await asyncio.sleep(SYNC_INTERVAL)
        self._syncing = None
        try:
            await self._disk.run(self._files.sync)
        except DISK_ERRORS as error:
            log.warning("journal entries on disk may not survive a power failure: %s", error)

    async def _restore_from_memory(self, restore: Restore) -> int:
        """Restore the next entries that are not on the disk; they stay in the queue when that fails."""
        batch, self._queue = self._queue[:BATCH_SIZE], self._queue[BATCH_SIZE:]
        try:
            await restore(batch)
        except BaseException:
            self._queue = batch + self._queue
            raise
        self._settle(batch)
        return len(batch)

    def _settle(self, entries: Sequence[SpoolEntry]) -> None:
        self._settled += len(entries)
        self._queued_bytes -= sum(entry.size for entry in entries)

    def _lose(self, count: int, why: str) -> None:
        if not self._losing:
            log.error("journal entries are lost, messages are still answered: %s", why)
        self._losing = True
        self._lost += count
