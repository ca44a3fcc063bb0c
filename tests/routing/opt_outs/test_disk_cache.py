"""Which opt-outs a worker has that starts or runs while Redis is unavailable."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import sqlite3
import stat
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sms_router.routing.opt_outs.cache import ConsentChange, OptOutCache
from sms_router.routing.opt_outs.disk_cache import OptOutDatabase, OptOutDiskCache
from tests.waiting import wait_until

MG = "MG1"
ONE, OTHER = (MG, "+19995550101"), (MG, "+19995550102")
TIMES = itertools.count(1)


def stop(cache: OptOutCache, key: tuple[str, str] = ONE, *, is_local: bool = False) -> None:
    cache.apply(key, ConsentChange(is_opted_out=True, at=next(TIMES), is_local=is_local))


def start(cache: OptOutCache, key: tuple[str, str] = ONE, *, is_local: bool = False) -> None:
    cache.apply(key, ConsentChange(is_opted_out=False, at=next(TIMES), is_local=is_local))


class Redis:
    """Whether Redis is unavailable to the workers."""

    def __init__(self, *, away: bool) -> None:
        self.away = away

    def is_away(self) -> bool:
        return self.away


@contextlib.asynccontextmanager
async def worker(
    folder: Path, *, complete: bool, away: bool | Redis = True, interval: float = 0.01
) -> AsyncIterator[OptOutCache]:
    """Run one worker; with ``complete`` it has read the list from Redis."""
    cache = OptOutCache()
    cache.is_complete = complete
    redis = away if isinstance(away, Redis) else Redis(away=away)
    disk = OptOutDiskCache(folder, cache, redis.is_away, interval)
    await disk.start()
    try:
        yield cache
    finally:
        await disk.aclose()


def files(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def stored(folder: Path, name: str = "opt-outs-1.db") -> dict[tuple[str, str], bool]:
    """Return the contacts on disk, and whether each of them has opted out."""
    if not (folder / name).exists():
        return {}
    with contextlib.closing(sqlite3.connect(folder / name)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'changes'").fetchone():
            return {}
        rows = connection.execute("SELECT scope, contact, is_opted_out FROM changes ORDER BY id").fetchall()
    return {(scope, contact): bool(is_opted_out) for scope, contact, is_opted_out in rows}


async def read_at_start(folder: Path) -> tuple[set[tuple[str, str]], bool]:
    """Return the list of a worker that starts without Redis, and whether it is complete."""
    async with worker(folder, complete=False) as cache:
        keys = {key for bucket in range(64) for part in cache.stops.parts_of(bucket) for key, _ in part}
        return keys, cache.is_complete


async def test_a_start_without_redis_reads_what_another_worker_stored(tmp_path: Path) -> None:
    async with worker(tmp_path, complete=True) as cache:
        stop(cache, ONE)
        stop(cache, OTHER)
        start(cache, OTHER)
    assert stat.S_IMODE((tmp_path / "opt-outs-1.db").stat().st_mode) == 0o600
    assert await read_at_start(tmp_path) == ({ONE}, True)
    assert files(tmp_path) == ["opt-outs-1.db"]


async def test_a_long_list_is_stored_and_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sms_router.routing.opt_outs.disk_cache.WRITE_SIZE", 1_000)
    everybody = [(MG, f"+1415{number:07}") for number in range(3_000)]
    async with worker(tmp_path, complete=True, away=False) as cache:
        for key in everybody:
            stop(cache, key)
    assert await read_at_start(tmp_path) == (set(everybody), True)
    assert len(stored(tmp_path)) == 3_000


async def test_without_redis_the_workers_of_a_machine_share_opt_outs(tmp_path: Path) -> None:
    async with worker(tmp_path, complete=True) as one, worker(tmp_path, complete=True) as other:
        stop(one, ONE)
        stop(other, OTHER)
        await wait_until(lambda: ONE in other and OTHER in one)
    assert await read_at_start(tmp_path) == ({ONE, OTHER}, True)


async def test_without_redis_the_workers_of_a_machine_share_the_last_change(tmp_path: Path) -> None:
    async with worker(tmp_path, complete=True) as one, worker(tmp_path, complete=True) as other:
        stop(one, ONE)
        stop(other, ONE)
        for change, out in ((start, False), (stop, True), (start, False), (stop, True), (start, False)):
            change(one, is_local=True)
            await wait_until(lambda: (ONE in other) is out)  # noqa: B023
            one, other = other, one  # noqa: PLW2901
        assert await read_at_start(tmp_path) == (set(), True)


async def test_a_local_change_is_stored_at_once_while_redis_is_away(tmp_path: Path) -> None:
    async with worker(tmp_path, complete=True, interval=3600) as cache:
        stop(cache, is_local=True)
        await wait_until(lambda: stored(tmp_path) == {ONE: True})
        start(cache, is_local=True)
        await wait_until(lambda: stored(tmp_path) == {ONE: False})


async def test_while_redis_serves_changes_are_stored_later_and_together(tmp_path: Path) -> None:
    async with worker(tmp_path, complete=True, away=False, interval=3600) as cache:
        stop(cache, is_local=True)
        await wait_until(lambda: not cache.has_local_change.is_set())
        assert files(tmp_path) == []
    assert stored(tmp_path) == {ONE: True}


async def test_a_local_change_on_disk_is_newer_than_one_from_redis(tmp_path: Path) -> None:
    async with (
        worker(tmp_path, complete=True) as one,
        worker(tmp_path, complete=True, interval=3600) as other,
    ):
        stop(other)
        start(one, is_local=True)
        await wait_until(lambda: stored(tmp_path) == {ONE: False})
    assert stored(tmp_path) == {ONE: False}
    assert await read_at_start(tmp_path) == (set(), True)


async def test_nothing_is_written_once_all_workers_have_the_same_list(tmp_path: Path) -> None:
    async with worker(tmp_path, complete=True) as one, worker(tmp_path, complete=True) as other:
        stop(one, is_local=True)
        stop(other, OTHER, is_local=True)
        await wait_until(lambda: ONE in other and OTHER in one)
        start(one, is_local=True)
        await wait_until(lambda: stored(tmp_path) == {ONE: False, OTHER: True} and ONE not in other)
        before = (tmp_path / "opt-outs-1.db").stat()
        await asyncio.sleep(0.2)
        after = (tmp_path / "opt-outs-1.db").stat()
        assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


async def test_closing_waits_for_the_write_in_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the older list may replace the newer one."""
    released, begun = threading.Event(), threading.Event()
    store = OptOutDatabase.store

    def slow(self: OptOutDatabase, *arguments: object, **named: object) -> None:
        if not begun.is_set():
            begun.set()
            released.wait(10)
        store(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(OptOutDatabase, "store", slow)
    cache = OptOutCache()
    cache.is_complete = True
    disk = OptOutDiskCache(tmp_path, cache, lambda: True, 0.01)
    stop(cache, OTHER)
    await disk.start()
    await wait_until(begun.is_set)
    stop(cache, ONE)
    closing = asyncio.create_task(disk.aclose())
    await asyncio.sleep(0.05)
    released.set()
    await closing
    assert stored(tmp_path) == {ONE: True, OTHER: True}


@pytest.mark.parametrize("away", [False, True])
async def test_only_a_later_start_ends_what_is_on_disk(tmp_path: Path, away: bool) -> None:
    async with worker(tmp_path, complete=True) as cache:
        stop(cache)
        stop(cache, OTHER)
    async with worker(tmp_path, complete=True, away=away) as cache:
        assert ONE in cache
        cache.apply(OTHER, ConsentChange(is_opted_out=False, at=0))
        start(cache)
        await wait_until(lambda: stored(tmp_path) == {OTHER: True, ONE: False})
    assert await read_at_start(tmp_path) == ({OTHER}, True)


async def test_changes_beyond_the_limit_of_memory_are_on_disk_once_it_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sms_router.routing.opt_outs.cache.MAX_UNSAVED", 3)
    folder = tmp_path / "data"
    folder.write_text("a file in its place")
    everybody = [(MG, f"+1415{number:07}") for number in range(10)]
    async with worker(folder, complete=True, away=False) as cache:
        for key in everybody:
            stop(cache, key)
        await asyncio.sleep(0.05)
        folder.unlink()
        await wait_until(lambda: len(stored(folder)) == 10)
    assert await read_at_start(folder) == (set(everybody), True)


async def test_an_incomplete_list_on_disk_is_not_taken_for_a_complete_one(
    tmp_path: Path,
) -> None:
    async with worker(tmp_path, complete=False) as cache:
        stop(cache, ONE)
    assert await read_at_start(tmp_path) == ({ONE}, False)


async def test_a_disk_that_cannot_be_written_or_read_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    folder.write_text("a file in its place")
    async with worker(folder, complete=False) as cache:
        cache.is_complete = True
        stop(cache, ONE)
        await wait_until(lambda: "cannot be stored" in caplog.text)
        await asyncio.sleep(0.1)
        folder.unlink()
        await wait_until(lambda: stored(folder) == {ONE: True})
    assert caplog.text.count("cannot be stored") == 1, "logged once, and tried again and again"


async def test_a_directory_in_the_place_of_the_database_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "opt-outs-1.db").mkdir()
    async with worker(tmp_path, complete=False) as cache:
        cache.is_complete = True
        stop(cache, ONE)
    assert "cannot be read" in caplog.text
    assert "cannot be stored" in caplog.text
    assert files(tmp_path) == ["opt-outs-1.db"]


def flood(folder: Path, prefix: str) -> None:
    """Store one contact after the other, until killed."""
    database = OptOutDatabase(folder)
    for number in itertools.count():
        change = ConsentChange(is_opted_out=True, at=number, is_local=True)
        database.store({(MG, f"{prefix}{number:07}"): change})
        time.sleep(0.005)


async def test_processes_store_and_read_at_the_same_time_and_a_kill_damages_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prefixes = ("+1415", "+1212", "+1310")
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=flood, args=(tmp_path, prefix)) for prefix in prefixes]
    for process in processes:
        process.start()
    async with worker(tmp_path, complete=True) as cache:
        for process, prefix in zip(processes, prefixes, strict=True):
            await wait_until(lambda: (MG, f"{prefix}{20:07}") in cache)  # noqa: B023
            process.kill()
            await asyncio.to_thread(process.join)
        stop(cache, ONE)
    assert "cannot be" not in caplog.text
    contacts = [contact for _, contact in stored(tmp_path)]
    assert ONE[1] in contacts
    for prefix in prefixes:
        numbers = [int(contact.removeprefix(prefix)) for contact in contacts if contact.startswith(prefix)]
        assert numbers[:21] == [*range(21)]


async def test_a_damaged_database_is_set_aside_and_stored_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with worker(tmp_path, complete=True) as one, worker(tmp_path, complete=True) as other:
        stop(one, ONE)
        await wait_until(lambda: ONE in other)
        (tmp_path / "damage").write_bytes(b"?" * 10_000)
        (tmp_path / "damage").rename(tmp_path / "opt-outs-1.db")
        stop(other, OTHER, is_local=True)
        await wait_until(lambda: stored(tmp_path, "opt-outs-2.db") == {ONE: True, OTHER: True})
        await wait_until(lambda: OTHER in one)
    assert (tmp_path / "opt-outs-1.db.damaged").read_bytes() == b"?" * 10_000
    assert caplog.text.count("opt-outs-1.db is damaged") == 1
    assert await read_at_start(tmp_path) == ({ONE, OTHER}, True)


async def test_a_database_that_was_removed_is_stored_anew(tmp_path: Path) -> None:
    async with worker(tmp_path, complete=True) as one, worker(tmp_path, complete=True) as other:
        stop(one, is_local=True)
        await wait_until(lambda: ONE in other)
        (tmp_path / "opt-outs-1.db").unlink()
        stop(other, OTHER, is_local=True)
        await wait_until(lambda: stored(tmp_path) == {ONE: True, OTHER: True})
    assert await read_at_start(tmp_path) == ({ONE, OTHER}, True)


async def test_a_start_on_a_truncated_database_is_a_start_without_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with worker(tmp_path, complete=True) as cache:
        for number in range(2_000):
            stop(cache, (MG, f"+1415{number:07}"))
    whole = (tmp_path / "opt-outs-1.db").read_bytes()
    (tmp_path / "opt-outs-1.db").write_bytes(whole[: len(whole) // 2])
    known, is_complete = await read_at_start(tmp_path)
    assert not is_complete
    assert len(known) < 2_000
    assert "is damaged" in caplog.text
