"""The opt-out list in the data directory, for workers that start while Redis is away, or after it
has lost its data."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from sms_router.routing.opt_outs.cache import FORGOTTEN, ConsentChange, OptOutCache, StoredEvidence
from sms_router.routing.opt_outs.opt_out_times import OptOutKey
from sms_router.routing.opt_outs.sync import OptOutSync
from sms_router.store.keys import BUCKETS
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

SWEEP_INTERVAL = 86_400.0
"""Seconds between two removals of what is older than the retention."""

READ_SIZE = 2_000
"""Rows that are read, and applied, in one turn of the event loop."""

WRITE_SIZE = 10_000
"""Rows of the whole list that one transaction stores."""

_OPEN = """
    PRAGMA synchronous = EXTRA;
    PRAGMA secure_delete = ON;
    CREATE TABLE IF NOT EXISTS changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, contact TEXT NOT NULL,
        is_opted_out INTEGER NOT NULL, at INTEGER NOT NULL, UNIQUE (scope, contact)
    );
    CREATE TABLE IF NOT EXISTS evidence (
        scope TEXT NOT NULL, contact TEXT NOT NULL, entry_id TEXT NOT NULL, at INTEGER NOT NULL,
        entry TEXT NOT NULL, PRIMARY KEY (scope, contact, entry_id)
    );
    CREATE TABLE IF NOT EXISTS lists (name TEXT PRIMARY KEY);
"""
"""A commit survives a power failure, and deleted numbers are overwritten.

Each contact has one row, their latest change, with a new id each time: a START stays, as the proof that ends
older copies of their STOP. ``lists`` has a row once the whole list was stored.
"""

_REMOVE = (
    "DELETE FROM changes WHERE scope = ? AND contact = ?",
    "DELETE FROM evidence WHERE scope = ? AND contact = ?",
)
_STORE = """
    WITH new (scope, contact, is_opted_out, at) AS (VALUES (?, ?, ?, ?))
    INSERT OR REPLACE INTO changes (scope, contact, is_opted_out, at) SELECT * FROM new
    WHERE NOT EXISTS (
        SELECT 1 FROM changes AS old WHERE old.scope = new.scope AND old.contact = new.contact
        AND (old.at > new.at OR old.at = new.at AND old.is_opted_out <= new.is_opted_out)
    )
"""


class OptOutDatabase:
    """One SQLite database for all workers of the machine, opened for each call.

    It has no write-ahead log: `sms_router.store.spool.files` says what a shared one does on a full disk.
    Everything here blocks on the disk, is called from one thread at a time, and raises `DISK_ERRORS`.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._file = "", 0
        """The file that was read up to `_last_id`: its name and inode."""
        self._last_id = 0
        self.has_whole_list = False
        """Whether this worker has stored, or read, the whole list."""

    def __str__(self) -> str:
        """Return its path, or where it will be."""
        return str(self._current() or self._data_dir)

    def store(
        self,
        changes: Mapping[OptOutKey, ConsentChange],
        entries: Sequence[tuple[OptOutKey, int]] = (),
        evidence: Sequence[StoredEvidence] = (),
        *,
        is_whole: bool = False,
    ) -> None:
        """Store changes newer than the stored ones, entries and evidence; ``is_whole``: all entries now."""
        path = self._current()
        if path is None:
            # Its name is new: a process that still uses a damaged one has its journal under the old name.
            damaged = len([*self._data_dir.glob("opt-outs-*.db.damaged")])
            path = self._data_dir / f"opt-outs-{damaged + 1}.db"
            with contextlib.suppress(FileExistsError):  # another worker was faster
                create_private_file(path)
        with self._open(path) as connection, transaction(connection):
            connection.executemany(_STORE, ((*key, True, at) for key, at in entries))
            connection.executemany(
                _STORE, ((*key, change.is_opted_out, change.at) for key, change in changes.items())
            )
            connection.executemany("INSERT OR IGNORE INTO evidence VALUES (?, ?, ?, ?, ?)", evidence)
            for remove in _REMOVE:
                connection.executemany(remove, (key for key, one in changes.items() if one is FORGOTTEN))
            if is_whole:
                connection.execute("INSERT OR IGNORE INTO lists VALUES ('opt-outs')")
        self.has_whole_list = self.has_whole_list or is_whole

    def read_new(self) -> tuple[list[tuple[OptOutKey, ConsentChange]], bool]:
        """Return the next rows that this worker has not read, and whether the whole list was stored."""
        if (path := self._current()) is None:
            return [], False
        query = "SELECT id, scope, contact, is_opted_out, at FROM changes WHERE id > ? ORDER BY id LIMIT ?"
        with self._open(path) as connection:
            rows = connection.execute(query, (self._last_id, READ_SIZE)).fetchall()
            is_whole = _is_whole(connection)
        self._last_id = rows[-1][0] if rows else self._last_id
        return [
            ((scope, contact), ConsentChange(bool(out), at)) for _, scope, contact, out, at in rows
        ], is_whole

    def read_evidence(self, after: int) -> list[tuple[int, StoredEvidence]]:
        """Return the next entries of ledgers behind a row, each with the number of its row."""
        if (path := self._current()) is None:
            return []
        query = "SELECT rowid, * FROM evidence WHERE rowid > ? ORDER BY rowid LIMIT ?"
        with self._open(path) as connection:
            rows = connection.execute(query, (after, READ_SIZE)).fetchall()
        return [(number, StoredEvidence(*row)) for number, *row in rows]

    def remove_old(self, before: int) -> None:
        """Remove what is older than a time in milliseconds, except of contacts who have opted out."""
        if (path := self._current()) is None:
            return
        with self._open(path) as connection, transaction(connection):
            connection.execute("DELETE FROM changes WHERE at < ? AND NOT is_opted_out", (before,))
            connection.execute(
                "DELETE FROM evidence WHERE at < ? AND (scope, contact) NOT IN "
                "(SELECT scope, contact FROM changes WHERE is_opted_out)",
                (before,),
            )

    @contextlib.contextmanager
    def _open(self, path: Path) -> Iterator[sqlite3.Connection]:
        try:
            with contextlib.closing(connect(path, LOCK_TIMEOUT)) as connection:
                connection.executescript(_OPEN)
                file = path.name, path.stat().st_ino
                if self._file != file:  # the one before was damaged or removed
                    self._file, self._last_id = file, 0
                self.has_whole_list = self.has_whole_list and _is_whole(connection)
                yield connection
        except sqlite3.Error as error:
            if is_damaged(error):
                with contextlib.suppress(FileNotFoundError):  # another worker was faster
                    log.error(
                        "the opt-out list %s is damaged (%s): renamed to %s; workers that know it store it "
                        "again", path, error, set_aside(path),
                    )  # fmt: skip
            raise

    def _current(self) -> Path | None:
        return max(self._data_dir.glob("opt-outs-*.db"), default=None)


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
        redis_sync: OptOutSync | None = None,
    ) -> None:
        self._redis_sync = redis_sync
        self._swept_at = -math.inf
        self._database = OptOutDatabase(data_dir)
        self._cache = cache
        self._is_redis_away = is_redis_away
        self._interval = interval
        self._disk = DiskThread("opt-outs")
        self._task = PeriodicTask("opt-outs-on-disk", 0, self._wait_and_sync)
        self._is_started = False
        self._was_away = False
        self._is_failing = False

    async def start(self) -> None:
        """Read what is stored, whether Redis has it or not, and start to store changes."""
        try:
            await self._load()
        except DISK_ERRORS as error:
            log.warning("the opt-out list cannot be read in %s: %s", self._database, error)
        self._is_started = True
        self._task.start()

    async def aclose(self) -> None:
        await self._task.aclose()
        if self._is_started:
            await self._sync()
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
        await self._sync()

    async def _sync(self) -> None:
        is_redis_away = self._is_redis_away()
        try:
            if is_redis_away or self._was_away:
                await self._load()
            await self._store()
            if self._redis_sync is not None and not is_redis_away:
                await self._keep_evidence(self._redis_sync)
        except DISK_ERRORS as error:
            if not self._is_failing:
                log.warning("the opt-out list cannot be stored in %s: %s", self._database, error)
            self._is_failing = True
        else:
            if self._is_failing:
                log.info("the opt-out list is stored in %s again", self._database)
            self._is_failing = False
            self._was_away = is_redis_away

    async def _keep_evidence(self, redis_sync: OptOutSync) -> None:
        """Write evidence back that Redis has lost, and once a day remove what is older than the retention."""
        if self._cache.is_evidence_lost:
            self._cache.is_evidence_lost = False
            rows, after = await self._disk.run(self._database.read_evidence, 0), 0
            while rows:
                after = rows[-1][0]
                if not await redis_sync.restore_evidence([entry for _, entry in rows]):
                    self._cache.is_evidence_lost = True
                    return
                rows = await self._disk.run(self._database.read_evidence, after)
        now = asyncio.get_running_loop().time()
        if now - self._swept_at > SWEEP_INTERVAL:
            self._swept_at = now
            await self._disk.run(self._database.remove_old, redis_sync.retention_start)

    async def _load(self) -> None:
        rows, is_whole = await self._disk.run(self._database.read_new)
        while rows:
            for key, change in rows:
                self._cache.apply(key, change, is_stored=True)
            rows, is_whole = await self._disk.run(self._database.read_new)
        if is_whole and not self._cache.is_complete:
            self._cache.is_complete = self._database.has_whole_list = True

    async def _store(self) -> None:
        """Store the whole list once it is complete, and then its changes."""
        cache = self._cache
        is_whole = self._database.has_whole_list and not cache.has_lost_changes
        stores_all = cache.is_complete and not is_whole
        if not stores_all and not cache.unsaved and not cache.unsaved_evidence:
            return
        changes, cache.unsaved = cache.unsaved, {}
        evidence, cache.unsaved_evidence = cache.unsaved_evidence, []
        had_lost_changes, cache.has_lost_changes = cache.has_lost_changes, False
        try:
            rows: list[tuple[OptOutKey, int]] = []
            for bucket in range(BUCKETS if stores_all else 0):
                for part in cache.stops.parts_of(bucket):
                    rows += part
                await asyncio.sleep(0)
                if len(rows) >= WRITE_SIZE:
                    await self._disk.run(self._database.store, {}, rows)
                    rows = []
            store = partial(self._database.store, changes, rows, evidence, is_whole=stores_all)
            await self._disk.run(store)
        except BaseException:
            cache.unsaved = {**changes, **cache.unsaved}
            cache.unsaved_evidence = evidence + cache.unsaved_evidence
            cache.has_lost_changes = had_lost_changes or cache.has_lost_changes
            raise
        if cache.is_complete and not self._database.has_whole_list:
            await self._store()  # the file was new
