"""The spool's files: one JSON line per script run, each file written by one process only.

Everything here blocks on the disk, and is called from one thread at a time.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import time
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path

from sms_router.store.file_lock import try_lock
from sms_router.store.spool.spool_entry import SpoolEntry

log = logging.getLogger("sms_router.spool")

BATCH = 200
"""Entries that are read and restored at once."""


class SpoolFile:
    """One file, ours alone while it is open; written to its end first, read from its start then."""

    def __init__(self, path: Path, file: FileIO) -> None:
        """Take a file that is held by this process; it closes with this object."""
        self._path = path
        self._file = file
        self._offset = 0
        self._batch: list[SpoolEntry] = []
        self._batch_lines = 0
        self._batch_end = 0
        self.lines = 0
        """Lines that are not restored yet."""
        self.unreadable = 0
        """Lines that were left out."""

    @classmethod
    def create(cls, folder: Path) -> SpoolFile:
        """Begin a new file.

        Raises:
            OSError: when the disk does not take it.

        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            path = folder / f"{os.getpid()}-{time.time_ns()}.jsonl"
            if not path.exists() and (file := try_lock(path, create=True)) is not None:
                return cls(path, file)

    @classmethod
    def adopt_orphan(cls, path: Path) -> SpoolFile | None:
        """Take the file of a process that is gone; None when it lives, or another was faster."""
        file = try_lock(path, create=False)
        if file is None:
            return None
        taken = cls(path, file)
        taken.lines = _count_lines(file)
        return taken

    def append(self, entries: Sequence[SpoolEntry]) -> None:
        """Write entries, all of them or none.

        Raises:
            OSError: when the disk does not take them.

        """
        before = self._file.seek(0, os.SEEK_END)
        left = memoryview(b"".join(entry.to_line() for entry in entries))
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(before)
            raise
        self.lines += len(entries)

    def batch(self) -> list[SpoolEntry]:
        """Return the next entries, the same ones until `advance`; none at the end."""
        if not self._batch:
            self._file.seek(self._offset)
            with _reader(self._file) as lines:
                self._batch_lines = 0
                while len(self._batch) < BATCH and (line := lines.readline()):
                    self._batch_lines += 1
                    self._batch.extend(self._read(line))
                self._batch_end = lines.tell()
        return self._batch

    def advance(self) -> None:
        """Mark the last batch as restored."""
        self._batch = []
        self._offset = self._batch_end
        self.lines -= self._batch_lines

    def remove(self) -> None:
        """Delete the file and close it."""
        with self._file:
            self._path.unlink(missing_ok=True)

    def __str__(self) -> str:
        """Return where it is."""
        return str(self._path)

    def close(self) -> None:
        """Close the file and leave it for another process to find."""
        self._file.close()

    def _read(self, line: bytes) -> Iterator[SpoolEntry]:
        """Read one line; a torn one, of a crash, is left out."""
        try:
            yield SpoolEntry.of_line(line)
        except ValueError as error:
            self.unreadable += 1
            log.error("a line of %s is unreadable and left out: %s", self, error)


@contextlib.contextmanager
def _reader(file: FileIO) -> Iterator[io.BufferedReader[FileIO]]:
    """Read a file through a buffer, and leave it open."""
    reader = io.BufferedReader(file)
    try:
        yield reader
    finally:
        reader.detach()


def _count_lines(file: FileIO) -> int:
    file.seek(0)
    with _reader(file) as lines:
        return sum(1 for _ in lines)


class SpoolFolder:
    """The file this worker writes, and those that wait to be restored: its own and dead workers'."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is created before the first entry."""
        self._folder = folder
        self._current: SpoolFile | None = None
        self._waiting: list[SpoolFile] = []
        self.unreadable = 0
        """Lines that were left out so far."""

    @property
    def lines(self) -> int:
        """How many entries lie in the files that we hold."""
        current = self._current
        return sum(file.lines for file in (*self._waiting, *([current] if current else ())))

    def append(self, entries: Sequence[SpoolEntry]) -> None:
        """Write entries, all of them or none.

        Raises:
            OSError: when the disk does not take them.

        """
        if self._current is None:
            self._current = SpoolFile.create(self._folder)
        self._current.append(entries)

    def gather(self) -> None:
        """Queue for restoring everything written until now, by us or by dead workers."""
        if self._current is not None:
            self._waiting.append(self._current)
            self._current = None
        for path in sorted(self._folder.glob("*.jsonl")):
            try:
                file = SpoolFile.adopt_orphan(path)
            except OSError as error:
                log.error("%s cannot be opened and stays: %s", path, error)
                continue
            if file is not None:
                self._waiting.append(file)

    def batch(self) -> list[SpoolEntry]:
        """Return entries to restore, the same ones until `advance`; none when nothing is left."""
        while self._waiting:
            file = self._waiting[0]
            if batch := self._batch_of(file):
                return batch
            self.unreadable += file.unreadable
            self._waiting.remove(file)
        return []

    def advance(self) -> None:
        """Mark the last batch as restored."""
        self._waiting[0].advance()

    def close(self) -> None:
        """Close all files and leave them for other processes to find."""
        for file in (*self._waiting, *([self._current] if self._current else ())):
            file.close()
        self._waiting, self._current = [], None

    def _batch_of(self, file: SpoolFile) -> list[SpoolEntry]:
        """Return a file's next batch; at its end, or when it cannot be read, the file is dropped."""
        try:
            if batch := file.batch():
                return batch
            file.remove()
        except OSError as error:
            log.error("%s cannot be read to its end and removed: %s", file, error)
            file.close()
        return []
