"""The spool's files: one SQLite database for each worker, locked by it as long as it lives.

The kernel ends a lock with its process, however that dies: neither a process id that is used again nor a
container that counts its own can be taken for the owner. Since no other process opens the file meanwhile, its
write-ahead log needs no shared memory. A database that processes share maps a file into memory for that, and
on a full disk it cannot be created, which makes the database unreadable at a start, nor, on a copy-on-write
file system such as Btrfs, be written to: there the kernel kills the worker (SIGBUS).

Everything here blocks on the disk, and is called from one thread at a time.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sms_router.store.local_database import (
    DISK_ERRORS,
    connect,
    create_private_file,
    is_damaged,
    is_locked,
    remove,
    set_aside,
    transaction,
)
from sms_router.store.scripts import Call

log = logging.getLogger("sms_router.spool")

BATCH_SIZE = 200
"""Entries that are read and restored at once."""


@dataclass(frozen=True, slots=True)
class SpoolEntry:
    """One script run that waits for Redis."""

    script: str
    keys: tuple[bytes, ...]
    arguments: tuple[bytes, ...]

    @classmethod
    def of(cls, call: Call) -> SpoolEntry:
        """Return the entry for what `Store.run` was called with."""
        script, keys, arguments = call
        encoded = (each if isinstance(each, bytes) else str(each).encode() for each in arguments)
        return cls(script.name, keys, tuple(encoded))

    @property
    def size(self) -> int:
        """Roughly how much memory it takes, in bytes."""
        return 200 + sum(map(len, self.keys)) + sum(map(len, self.arguments))

    def serialize(self) -> str:
        """Return the entry as JSON; bytes become the characters of the same numbers."""
        keys, arguments = (
            [part.decode("latin-1") for part in parts] for parts in (self.keys, self.arguments)
        )
        return json.dumps([self.script, keys, arguments])

    @classmethod
    def parse(cls, text: str) -> SpoolEntry:
        """Read what `serialize` returned.

        Raises:
            ValueError: when it is something else.

        """
        try:
            script, *lists = json.loads(text)
            keys, arguments = (tuple(part.encode("latin-1") for part in parts) for parts in lists)
            return cls(str(script), keys, arguments)
        except (TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a spool entry: {error}") from error


class SpoolFile:
    """One locked database of entries: appended to at its end, read from its start."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """``connection`` is locked, and closes with this object."""
        self.path = path
        self._connection = connection
        self._restored_to = 0
        self._batch: list[tuple[int, str]] = []
        self._mistakes: list[ValueError] = []
        self.size = self._count()
        """Entries that are not restored yet; 0 where it is unknown, in a damaged file."""
        self.unreadable = 0
        """Entries that were left out."""

    @classmethod
    def create(cls, folder: Path) -> SpoolFile:
        """Start a new file.

        Raises:
            OSError, sqlite3.Error: when the disk refuses it.

        """
        while True:
            path = folder / f"{os.getpid()}-{time.time_ns()}.db"
            create_private_file(path)
            try:
                if (file := cls.lock(path)) is not None:
                    return file  # else another worker has adopted and removed it while it was empty
            except sqlite3.Error:
                remove(path)  # else each try on a full disk leaves a file
                raise

    @classmethod
    def lock(cls, path: Path) -> SpoolFile | None:
        """Open and lock a file; return None when another process has it, or has restored and removed it.

        Raises:
            sqlite3.Error: when it cannot be opened or is damaged.

        """
        connection: sqlite3.Connection | None = None
        try:
            connection = connect(path, timeout=0)
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            # One fsync for each append: what is written survives a power failure too.
            connection.execute("PRAGMA synchronous = FULL")
            with transaction(connection):
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, entry TEXT NOT NULL)"
                )
            if path.exists():
                return cls(path, connection)
            connection.close()
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            if path.exists() and not is_locked(error):
                raise
        return None

    def append(self, entries: Sequence[SpoolEntry]) -> None:
        """Write entries, all of them or none.

        Raises:
            sqlite3.Error: when the disk refuses them.

        """
        rows = [(entry.serialize(),) for entry in entries]
        with transaction(self._connection):
            self._connection.executemany("INSERT INTO entries (entry) VALUES (?)", rows)
        self.size += len(entries)

    def read_batch(self) -> list[SpoolEntry]:
        """Return the next entries, the same ones until `advance`; none at the end.

        Raises:
            sqlite3.Error: when the disk cannot be read, or the file is damaged.

        """
        query = "SELECT id, entry FROM entries WHERE id > ? ORDER BY id LIMIT ?"
        entries: list[SpoolEntry] = []
        while not entries:
            self._batch = self._connection.execute(query, (self._restored_to, BATCH_SIZE)).fetchall()
            if not self._batch:
                break
            self._mistakes = []
            for _, text in self._batch:
                try:
                    entries.append(SpoolEntry.parse(text))
                except ValueError as error:
                    self._mistakes.append(error)
            if not entries:
                self.advance()
        return entries

    def advance(self) -> None:
        """Go past the last batch; the disk is not written to, so that one that is full stops no replay."""
        self._restored_to = self._batch[-1][0]
        self.size = max(0, self.size - len(self._batch))
        self.unreadable += len(self._mistakes)
        for error in self._mistakes:
            log.error("an entry of %s is unreadable and left out: %s", self.path, error)

    def _count(self) -> int:
        try:
            (last,) = self._connection.execute("SELECT max(id) FROM entries").fetchone()
        except sqlite3.Error as error:
            if not is_damaged(error):
                raise
            return 0  # the entries before the damage are restored
        return last or 0

    def remove(self) -> None:
        """Delete the file, and close it."""
        remove(self.path)
        self._connection.close()

    def close(self) -> None:
        """Close the file and leave it for another process to adopt."""
        self._connection.close()


class SpoolFolder:
    """The file that this worker writes, and those of dead workers that it has adopted."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is created with the first entry."""
        self._folder = folder
        self._own: SpoolFile | None = None
        self._adopted: list[SpoolFile] = []
        self._reading: SpoolFile | None = None
        self.lost = 0
        """Entries that were unreadable, or in a damaged file."""

    @property
    def size(self) -> int:
        """How many entries wait in the files that this worker has locked."""
        return sum(file.size for file in self._files())

    def append(self, entries: Sequence[SpoolEntry]) -> None:
        """Write entries, all of them or none.

        Raises:
            OSError, sqlite3.Error: when the disk refuses them.

        """
        if self._own is None:
            self._own = SpoolFile.create(self._folder)
        try:
            self._own.append(entries)
        except sqlite3.Error as error:
            if is_damaged(error):
                self._give_up(self._own, error)
            raise

    def adopt(self) -> None:
        """Lock the files of dead workers, so that this worker alone restores them."""
        locked = {file.path for file in self._files()}
        for path in sorted(set(self._folder.glob("*.db")) - locked):
            try:
                file = SpoolFile.lock(path)
            except DISK_ERRORS as error:
                self._report(path, error)
            else:
                self._adopted += [file] if file is not None else []

    def read_batch(self) -> list[SpoolEntry]:
        """Return entries to restore, the same ones until `advance`; none when nothing is left."""
        for file in self._files():
            try:
                if batch := file.read_batch():
                    self._reading = file
                    return batch
                file.remove()
                self._detach(file)
            except DISK_ERRORS as error:
                self._give_up(file, error)
        return []

    def advance(self) -> None:
        """Mark the last batch as restored."""
        if self._reading is not None:
            self._reading.advance()

    def close(self) -> None:
        """Close all files and leave them for other processes to adopt."""
        for file in self._files():
            self._detach(file)

    def _files(self) -> list[SpoolFile]:
        return [*self._adopted, *([self._own] if self._own is not None else ())]

    def _give_up(self, file: SpoolFile, error: Exception) -> None:
        self._detach(file)
        self._report(file.path, error, file.size)

    def _detach(self, file: SpoolFile) -> None:
        file.close()
        self.lost += file.unreadable
        self._adopted = [each for each in self._adopted if each is not file]
        if file is self._own:
            self._own = None

    def _report(self, path: Path, error: Exception, size: int = 0) -> None:
        """Set a damaged file aside; leave any other where it is, for a later start."""
        if not is_damaged(error):
            log.error("%s cannot be read or removed, and stays: %s", path, error)
            return
        self.lost += size or 1  # one at least
        try:
            log.error(
                "%s is damaged (%s): it is now %s, and %s journal entries in it are lost",
                path, error, set_aside(path), size or "an unknown number of",
            )  # fmt: skip
        except OSError as refusal:
            log.error("%s is damaged: %s; it cannot be set aside: %s", path, error, refusal)
