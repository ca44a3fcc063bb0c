"""The spool's files: one SQLite database for each worker, locked by it as long as it lives.

The kernel releases the lock when the process ends. An exclusive lock also means that the write-ahead log
needs no shared memory. A database that several processes share maps a file into memory for its log. On a full
disk this file cannot be created, so that the database is unreadable at a start, and on a copy-on-write file
system such as Btrfs it cannot be written either: the kernel kills the worker (SIGBUS).

Everything here blocks on the disk, is called from one thread at a time, and raises `DISK_ERRORS`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
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

_OPEN = """
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA synchronous = OFF;
    PRAGMA journal_mode = WAL;
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, entry TEXT NOT NULL);
    COMMIT;
    PRAGMA synchronous = NORMAL;
"""
"""Locks a database for as long as it is open.

A commit has no fsync: later entries would wait for it in memory, where a kill loses them, and a new database
needs ten, 50 ms on a busy disk. A commit survives a kill, and after `SpoolFile.sync` a power failure.
"""


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
        encoded = (
            argument if isinstance(argument, bytes) else str(argument).encode() for argument in arguments
        )
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
        """Read what `serialize` returned; another text becomes an entry for a script that does not exist."""
        try:
            script, *lists = json.loads(text)
            keys, arguments = (tuple(part.encode("latin-1") for part in parts) for parts in lists)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            return cls(f"unreadable: {type(error).__name__}", (), ())
        return cls(str(script), keys, arguments)


class SpoolFile:
    """One locked database of entries: appended to at its end, read from its start."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._batch: list[tuple[int, str]] = []
        self._restored_to = 0
        self.size = int(connection.execute("SELECT max(id) FROM entries").fetchone()[0] or 0)
        """Entries that are not restored yet; changed on the event loop."""

    @classmethod
    def create(cls, folder: Path) -> SpoolFile:
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
        """Open and lock a file; return None when another process has it, or has restored and removed it."""
        with contextlib.ExitStack() as unless_locked:
            try:
                connection = connect(path, timeout=0)
                unless_locked.callback(connection.close)
                connection.executescript(_OPEN)
                if path.exists():
                    file = cls(path, connection)
                    unless_locked.pop_all()
                    return file
            except sqlite3.Error as error:
                if path.exists() and not is_locked(error):
                    raise
        return None

    def append(self, entries: Sequence[SpoolEntry]) -> None:
        """Write entries, all of them or none."""
        rows = [(entry.serialize(),) for entry in entries]
        with transaction(self._connection):
            self._connection.executemany("INSERT INTO entries (entry) VALUES (?)", rows)

    def sync(self) -> None:
        """Make what was written survive a power failure."""
        self._connection.execute("PRAGMA wal_checkpoint")

    def read_batch(self) -> list[SpoolEntry]:
        """Return the next entries, the same ones until `advance`; none at the end."""
        query = "SELECT id, entry FROM entries WHERE id > ? ORDER BY id LIMIT ?"
        self._batch = self._connection.execute(query, (self._restored_to, BATCH_SIZE)).fetchall()
        return [SpoolEntry.parse(text) for _, text in self._batch]

    def advance(self) -> None:
        """Go past the last batch, in memory alone, so that a full disk stops no replay."""
        self._restored_to = self._batch[-1][0]
        self.size -= len(self._batch)

    def close(self) -> None:
        """Close and unlock the file; what is left in it is for another process."""
        self._connection.close()


@dataclass(eq=False)
class SpoolFolder:
    """The file that this worker writes, and those of dead workers that it has adopted."""

    folder: Path
    """Is created with the first entry."""
    lost: int = 0
    """Entries in damaged files; where their number is unknown, one."""
    _own: SpoolFile | None = None
    _files: list[SpoolFile] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many entries wait in the files that this worker has locked."""
        return sum(file.size for file in self._files)

    def append(self, entries: Sequence[SpoolEntry]) -> SpoolFile:
        """Write entries, all of them or none; return the file that has them now."""
        if self._own is None:
            self._own = SpoolFile.create(self.folder)
            self._files.append(self._own)
        try:
            self._own.append(entries)
        except sqlite3.Error as error:
            if is_damaged(error):
                self._own = None  # the next replay restores what it can of it
            raise
        return self._own

    def sync(self) -> None:
        """Make what was written survive a power failure."""
        if self._own is not None:
            self._own.sync()

    def adopt(self) -> None:
        """Lock the files of dead workers, so that this worker alone restores them."""
        for path in sorted(set(self.folder.glob("*.db")) - {file.path for file in self._files}):
            try:
                file = SpoolFile.lock(path)
            except DISK_ERRORS as error:
                self._report(path, error)
            else:
                self._files += [file] if file is not None else []

    def read_batch(self) -> list[SpoolEntry]:
        """Return entries to restore, the same ones until `advance`; none when nothing is left."""
        while self._files:
            file = self._files[0]
            try:
                if batch := file.read_batch():
                    return batch
                remove(file.path)
            except DISK_ERRORS as error:
                self._close(file)
                self._report(file.path, error, file.size)
            else:
                self._close(file)
        return []

    def advance(self) -> None:
        self._files[0].advance()

    def close(self) -> None:
        """Close all files and leave them for other processes to adopt."""
        while self._files:
            self._close(self._files[0])

    def _close(self, file: SpoolFile) -> None:
        file.close()
        self._files.remove(file)
        if file is self._own:
            self._own = None

    def _report(self, path: Path, error: Exception, size: int = 0) -> None:
        """Set a damaged file aside; leave any other where it is, for a later start."""
        if not is_damaged(error):
            log.error("%s cannot be read or removed, and stays: %s", path, error)
            return
        self.lost += size or 1
        count = size or "an unknown number of"
        try:
            new = set_aside(path)
        except OSError as refusal:
            log.error("%s is damaged (%s) and cannot be renamed: %s", path, error, refusal)
        else:
            log.error("%s is damaged (%s): renamed to %s; %s entries in it are lost", path, error, new, count)
