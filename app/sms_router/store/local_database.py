"""SQLite files in the data directory, and the threads that use them: the disk never blocks the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

DISK_ERRORS = (OSError, sqlite3.Error)
"""What a disk that is full, read-only, locked or broken raises."""


class DiskThread:
    """One thread for what blocks on the disk; a call waits for the one before, cancelled or not."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)

    async def run(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Call ``work`` in the thread and return its result."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: work(*arguments, **named))

    def close(self) -> None:
        """Let the thread end after the calls that were made."""
        self._thread.shutdown(wait=False)


def create_private_file(path: Path) -> None:
    """Create an empty file, a new database for SQLite, that only this user can read; also its folder.

    Raises:
        OSError: when the disk fails; FileExistsError when it is there.

    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Only a new file is opened here: closing one would release the locks that SQLite holds on it.
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def connect(path: Path, timeout: float) -> sqlite3.Connection:
    """Open an existing database without implicit transactions; ``timeout`` is in seconds, for each lock."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(uri, timeout=timeout, isolation_level=None, uri=True)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what the body writes, all of it or, when anything fails, none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite ends it by itself when the disk is full
            connection.execute("ROLLBACK")
        raise


def is_locked(error: Exception) -> bool:
    """Return whether another process holds the database."""
    return _code(error) == sqlite3.SQLITE_BUSY


def is_damaged(error: Exception) -> bool:
    """Return whether the file is no database, or one with damaged pages: another try would not help."""
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def set_aside(path: Path) -> Path:
    """Rename a damaged database and its log, so that it is not opened again; return the new path.

    Raises:
        OSError: when the disk fails; FileNotFoundError when another process has renamed it.

    """
    new = path.rename(f"{path}.damaged")
    for suffix in ("-wal", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{new}{suffix}")
    return new


def remove(path: Path) -> None:
    """Delete a database and its log.

    Raises:
        OSError: when the disk refuses it.

    """
    for suffix in ("", "-wal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
