"""The opt-out list in the data directory, for workers that start, or go on, while Redis is away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from sms_router.routing.opt_outs.cache import ConsentChange, OptOutCache, OptOutKey
from sms_router.store.local_database import (
    DISK_ERRORS,
    DiskThread,
    connect,
    create_private_file,
    is_damaged,
    set_aside,
    transaction,
)
from sms_router.tasks import PeriodicTask

log = logging.getLogger("sms_router.opt_outs")

SYNC_INTERVAL = 2.0
"""Seconds after which changes are stored, and those of other workers are read while Redis is away."""

LOCK_TIMEOUT = 5.0
"""Seconds that a worker waits for another one's transaction."""

READ_SIZE = 500
"""Rows that are read, and applied, in one turn of the event loop."""

_NAME = re.compile(r"opt-outs-(\d+)\.db(\.damaged)?")

_TABLES = """
    CREATE TABLE IF NOT EXISTS consents (
        id INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, contact TEXT NOT NULL,
        is_opted_out INTEGER NOT NULL, UNIQUE (scope, contact)
    );
    CREATE INDEX IF NOT EXISTS opted_in ON consents (id) WHERE NOT is_opted_out;
    CREATE TABLE IF NOT EXISTS lists (name TEXT PRIMARY KEY);
"""
"""A row for each contact, with a new id at each change; a row in ``lists`` once the whole list was stored."""

_ADD = "INSERT OR IGNORE INTO consents (scope, contact, is_opted_out) VALUES (?, ?, 1)"
_REMOVE = "DELETE FROM consents WHERE scope = ? AND contact = ?"
_REPLACE = """
    INSERT OR REPLACE INTO consents (scope, contact, is_opted_out) SELECT ?1, ?2, ?3
    WHERE NOT EXISTS (SELECT 1 FROM consents WHERE scope = ?1 AND contact = ?2 AND is_opted_out = ?3)
"""


class OptOutDatabase:
    """One SQLite database for all workers of the machine, opened for each call.

    It has no write-ahead log: `sms_router.store.spool.files` says what a shared one does on a full disk.
    Everything here blocks on the disk, and is called from one thread at a time.

    A damaged database is renamed and the next one gets a new name, since the journal of a process that still
    uses the old one has the old name.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._path: Path | None = None
        self._last_id = 0
        self.has_whole_list = False
        """Whether this worker has stored, or read, the whole list."""

    def __str__(self) -> str:
        """Return its path."""
        return str(self._path or self._data_dir)

    def store(
        self,
        changes: Mapping[OptOutKey, ConsentChange],
        entries: Sequence[OptOutKey] | None,
        *,
        is_redis_away: bool,
    ) -> None:
        """Store changes, and with ``entries`` the whole list.

        While Redis serves, its list replaces the stored one. While Redis is away, rows are only added, since
        this worker's list may be incomplete, and local changes replace the contact's row.

        Raises:
            OSError, sqlite3.Error: when the disk refuses it.

        """
        with self._create() as connection, transaction(connection):
            if not is_redis_away:
                connection.execute("DELETE FROM consents WHERE NOT is_opted_out")
            if entries is not None:
                if not is_redis_away:
                    stored = set(connection.execute("SELECT scope, contact FROM consents"))
                    connection.executemany(_REMOVE, stored.difference(entries))
                connection.executemany(_ADD, entries)
                connection.execute("INSERT OR IGNORE INTO lists VALUES ('opt-outs')")
            for key, change in changes.items():
                if entries is not None and not change.is_local:
                    continue  # it is in the list
                if is_redis_away and change.is_local:
                    connection.execute(_REPLACE, (*key, change.is_opted_out))
                else:
                    connection.execute(_ADD if change.is_opted_out else _REMOVE, key)
        self.has_whole_list = self.has_whole_list or entries is not None

    def read_new(self) -> list[tuple[OptOutKey, bool]]:
        """Return the next rows that this worker has not read, and whether each contact has opted out.

        Raises:
            OSError, sqlite3.Error: when the disk cannot be read.

        """
        query = "SELECT id, scope, contact, is_opted_out FROM consents WHERE id > ? ORDER BY id LIMIT ?"
        with self._open() as connection:
            rows = connection.execute(query, (self._last_id, READ_SIZE)).fetchall() if connection else []
        if rows:
            self._last_id = rows[-1][0]
        return [((scope, contact), bool(is_opted_out)) for _, scope, contact, is_opted_out in rows]

    def is_whole(self) -> bool:
        """Return whether some worker has stored the whole list.

        Raises:
            OSError, sqlite3.Error: when the disk cannot be read.

        """
        with self._open() as connection:
            return connection is not None and _is_whole(connection)

    @contextlib.contextmanager
    def _create(self) -> Iterator[sqlite3.Connection]:
        path = self._newest()
        with contextlib.suppress(FileExistsError):
            create_private_file(path)
        with self._open() as connection:
            if connection is None:
                raise FileNotFoundError(f"{path} has been removed")
            yield connection

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection | None]:
        """Open the newest database; None when there is none."""
        path = self._path = self._newest()
        if not path.exists():
            yield None
            return
        try:
            with contextlib.closing(connect(path, LOCK_TIMEOUT)) as connection:
                # A commit survives a power failure, and deleted numbers are overwritten.
                connection.executescript("PRAGMA synchronous = EXTRA; PRAGMA secure_delete = ON;" + _TABLES)
                if self.has_whole_list and not _is_whole(connection):  # the file was damaged or removed
                    self._last_id, self.has_whole_list = 0, False
                yield connection
        except sqlite3.Error as error:
            if is_damaged(error):
                with contextlib.suppress(FileNotFoundError):  # another worker was faster
                    log.error(
                        "the opt-out list in %s is damaged (%s): it is now %s; workers that know the list "
                        "store it anew", path, error, set_aside(path),
                    )  # fmt: skip
            raise

    def _newest(self) -> Path:
        """Return the path of the database in use, or of the next one after the damaged ones."""
        names = [match for path in self._data_dir.glob("opt-outs-*") if (match := _NAME.fullmatch(path.name))]
        whole = [int(match[1]) for match in names if not match[2]]
        number = max(whole) if whole else max((int(match[1]) for match in names), default=0) + 1
        return self._data_dir / f"opt-outs-{number}.db"


def _is_whole(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM lists").fetchone() is not None


class OptOutDiskCache:
    """Stores a worker's list; while Redis is away, also reads what the other workers have stored."""

    def __init__(
        self,
        data_dir: Path,
        cache: OptOutCache,
        is_redis_away: Callable[[], bool],
        interval: float = SYNC_INTERVAL,
    ) -> None:
        self._database = OptOutDatabase(data_dir)
        self._cache = cache
        self._is_redis_away = is_redis_away
        self._interval = interval
        self._disk = DiskThread("opt-outs")
        self._task = PeriodicTask("opt-outs-on-disk", 0, self._wait_and_sync)
        self._is_started = False
        self._was_away = True
        self._failing: set[str] = set()

    async def start(self) -> None:
        """Read the list if Redis did not have it, and start to store it."""
        if not self._cache.is_complete:
            await self._load()
        if not self._cache.is_complete:
            log.warning(
                "neither Redis nor %s has the opt-out list: until Redis serves, contacts who have "
                "opted out may be answered", self._database,
            )  # fmt: skip
        self._is_started = True
        self._task.start()

    async def aclose(self) -> None:
        """Stop, and store the last changes."""
        await self._task.aclose()
        if self._is_started:
            await self._store(is_redis_away=self._is_redis_away())
        self._disk.close()

    async def _wait_and_sync(self) -> None:
        """Wait for the interval, or for a local change while Redis is away: their order counts."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._interval):
                while True:
                    await self._cache.has_local_change.wait()
                    self._cache.has_local_change.clear()
                    if self._is_redis_away():
                        break
        is_redis_away = self._is_redis_away()
        await self._store(is_redis_away=is_redis_away)
        if is_redis_away:
            await self._load()

    async def _store(self, *, is_redis_away: bool) -> None:
        """Store the whole list once it is complete, and then its changes."""
        cache, has_returned = self._cache, self._was_away and not is_redis_away
        entries = tuple(cache) if cache.is_complete and not self._database.has_whole_list else None
        # While Redis is away only a local START ends an opt-out on disk; others wait until Redis returns.
        waiting = {
            key: change for key, change in cache.unsaved.items() if is_redis_away and change.is_weak_start
        }
        changes = {key: change for key, change in cache.unsaved.items() if key not in waiting}
        if entries is None and not changes and not has_returned:
            return
        cache.unsaved = {}
        try:
            store = self._database.store
            await self._disk.run(store, changes, entries, is_redis_away=is_redis_away)
        except BaseException as error:
            cache.unsaved = {**waiting, **changes, **cache.unsaved}
            if not isinstance(error, DISK_ERRORS):
                raise
            self._report("stored", error)
            return
        cache.unsaved = {**waiting, **cache.unsaved}
        self._was_away = is_redis_away
        self._report("stored", None)

    async def _load(self) -> None:
        """Apply what other workers have stored."""
        cache, database = self._cache, self._database
        try:
            while rows := await self._disk.run(database.read_new):
                for key, is_opted_out in rows:
                    cache.apply_stored(key, is_opted_out=is_opted_out)
            if not cache.is_complete and await self._disk.run(database.is_whole):
                cache.is_complete = database.has_whole_list = True
        except DISK_ERRORS as error:
            self._report("read", error)
        else:
            self._report("read", None)

    def _report(self, action: str, error: Exception | None) -> None:
        """Warn when an action fails, once until it succeeds again."""
        if error is None:
            self._failing.discard(action)
        elif action not in self._failing:
            self._failing.add(action)
            log.warning("the opt-out list cannot be %s in %s: %s", action, self._database, error)
