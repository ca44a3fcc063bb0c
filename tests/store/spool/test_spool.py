from __future__ import annotations

import asyncio
import contextlib
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.store.errors import StoreUnavailableError
from sms_router.store.scripts import SCRIPTS
from sms_router.store.spool.files import SpoolEntry
from sms_router.store.spool.spool import Spool
from tests.store.other_process import entry, other_process

BATCH = 200
"""Entries that are restored at once."""


class Restored:
    """Receives the restored entries; rejects the first ``refuse`` batches."""

    def __init__(self, refuse: int = 0) -> None:
        self.entries: list[SpoolEntry] = []
        self._refuse = refuse

    async def __call__(self, entries: Sequence[SpoolEntry]) -> None:
        await asyncio.sleep(0)
        if self._refuse:
            self._refuse -= 1
            raise StoreUnavailableError("away")
        self.entries.extend(entries)


@contextlib.asynccontextmanager
async def spool_in(
    folder: Path, max_queued_bytes: int = 1 << 25, retry_interval: float = 1.0
) -> AsyncIterator[Spool]:
    spool = Spool(folder, max_queued_bytes, retry_interval)
    try:
        yield spool
    finally:
        await spool.aclose()


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    async with spool_in(tmp_path) as spool:
        yield spool


@contextlib.contextmanager
def limited_file_size(size: int) -> Iterator[None]:
    """Have the kernel fail writes beyond this size of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def make_entries(count: int, start: int = 0) -> list[SpoolEntry]:
    return [entry(number) for number in range(start, start + count)]


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def databases(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.db"))


def run(*command: object) -> None:
    """Do in another process what would release the locks that SQLite holds in this one."""
    subprocess.run([*map(str, command)], check=True)


def overwrite(file: Path) -> None:
    blocks = file.stat().st_size // 4096
    run("dd", "if=/dev/zero", f"of={file}", "bs=4096", f"count={blocks}", "conv=notrunc", "status=none")


async def leave_as_dead_worker(folder: Path, entries: Sequence[SpoolEntry]) -> Path:
    """Return the file of a worker that has stopped while these entries waited."""
    async with spool_in(folder) as dead:
        add(dead, entries)
    (file,) = databases(folder)
    return file


async def restore_from_copy(folder: Path, copy: Path) -> list[SpoolEntry]:
    """Return what would be restored if the machine lost its power now."""
    await asyncio.to_thread(run, "cp", "-r", folder, copy)
    restored = Restored()
    async with spool_in(copy) as spool:
        await spool.replay(restored)
    return restored.entries


def add(spool: Spool, entries: Sequence[SpoolEntry]) -> list[SpoolEntry]:
    for one in entries:
        spool.add(one)
    return list(entries)


parts = st.lists(st.binary(max_size=50), max_size=4).map(tuple)


@given(st.text(), parts, parts)
def test_an_entry_reads_as_it_was_written(
    script: str, keys: tuple[bytes, ...], arguments: tuple[bytes, ...]
) -> None:
    written = SpoolEntry(script, keys, arguments)
    assert SpoolEntry.parse(written.serialize()) == written


@pytest.mark.parametrize(
    "text",
    ["", "[]", "1", '["a"]', '["a", 1, 2]', '["a", [1], []]', '["a", ["\u20ac"], []]', "[" * 100_000],
)
def test_another_text_is_an_entry_without_a_script(text: str) -> None:
    entry = SpoolEntry.parse(text)
    assert entry.script.startswith("unreadable: ")
    assert (entry.keys, entry.arguments) == ((), ())


def test_an_entry_holds_the_arguments_as_redis_would_get_them() -> None:
    assert SpoolEntry.of((SCRIPTS["commit"], (b"key",), (1, "é", b"\xff"))) == SpoolEntry(
        "commit", (b"key",), (b"1", "é".encode(), b"\xff")
    )


async def test_entries_come_back_in_their_order(spool: Spool) -> None:
    added, restored = add(spool, make_entries(3 * BATCH + 7)), Restored()
    assert spool.size == len(added)
    assert await spool.replay(restored) == len(added)
    assert restored.entries == added
    assert (spool.size, spool.dropped) == (0, 0)
    assert await spool.replay(restored) == 0


async def test_nothing_is_left_on_disk_after_a_replay(spool: Spool, tmp_path: Path) -> None:
    add(spool, make_entries(10))
    await spool.flush()
    assert len(databases(tmp_path)) == 1
    await spool.replay(Restored())
    assert files(tmp_path) == []


async def test_nothing_is_created_before_the_first_entry(tmp_path: Path) -> None:
    async with spool_in(tmp_path / "spool") as spool:
        assert await spool.replay(Restored()) == 0
        assert not (tmp_path / "spool").exists()


async def test_only_the_user_can_read_folder_and_files(tmp_path: Path) -> None:
    async with spool_in(tmp_path / "spool") as spool:
        add(spool, make_entries(1))
        await spool.flush()
        assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in files(tmp_path / "spool")} == {0o600}


async def test_entries_survive_the_process(tmp_path: Path) -> None:
    async with spool_in(tmp_path) as before:
        added = add(before, make_entries(500))
    restored = Restored()
    async with spool_in(tmp_path) as after:
        assert await after.replay(restored) == 500
    assert restored.entries == added


async def test_entries_of_an_ended_process_are_adopted_and_those_of_a_running_one_not(
    spool: Spool, tmp_path: Path
) -> None:
    restored = Restored()
    with other_process("spool", tmp_path, 300) as process:
        own = add(spool, make_entries(1, start=1000))
        assert await spool.replay(restored) == 1
        process.kill()
        await asyncio.to_thread(process.wait)
        assert await spool.replay(restored) == 300
    assert restored.entries == own + make_entries(300)


async def test_one_of_two_workers_adopts_a_file(tmp_path: Path) -> None:
    async with spool_in(tmp_path) as dead:
        added = add(dead, make_entries(3 * BATCH))
    restored = Restored()
    async with spool_in(tmp_path) as one, spool_in(tmp_path) as other:
        counts = (0, 0)
        while not any(
            counts
        ):  # who opens the file at the same moment may find it locked; the next try adopts it
            counts = await asyncio.gather(one.replay(restored), other.replay(restored))
    assert sorted(counts) == [0, len(added)]
    assert restored.entries == added


async def test_entries_survive_a_kill_in_the_middle_of_a_write(tmp_path: Path) -> None:
    with other_process("flood", tmp_path, 300) as process:
        process.kill()
        await asyncio.to_thread(process.wait)
    restored = Restored()
    async with spool_in(tmp_path) as spool:
        await spool.replay(restored)
    assert len(restored.entries) >= 300, "these were on the disk"
    assert restored.entries == make_entries(len(restored.entries))
    assert spool.dropped == 0
    assert files(tmp_path) == []


async def test_a_file_that_is_no_database_is_set_aside_and_the_others_are_restored(
    spool: Spool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "1-1.db").write_bytes(b"?" * 10_000)
    added, restored = add(spool, make_entries(2)), Restored()
    await spool.replay(restored)
    assert restored.entries == added
    assert spool.dropped == 1
    assert files(tmp_path) == [tmp_path / "1-1.db.damaged"]
    assert (tmp_path / "1-1.db.damaged").read_bytes() == b"?" * 10_000
    assert caplog.text.count("1-1.db is damaged") == 1
    assert "1-1.db.damaged; an unknown number of entries in it are lost" in caplog.text


async def test_what_comes_before_the_damage_in_a_file_is_restored(
    spool: Spool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = await leave_as_dead_worker(tmp_path, make_entries(5 * BATCH))
    content = bytearray(file.read_bytes())
    middle = len(content) // 8192 * 4096
    content[middle : middle + 4096] = bytes(4096)
    file.write_bytes(content)
    restored = Restored()
    await spool.replay(restored)
    count = len(restored.entries)
    assert BATCH <= count < 4 * BATCH
    assert restored.entries == make_entries(count)
    assert spool.dropped == 5 * BATCH - count
    assert [path.name for path in files(tmp_path)] == [f"{file.name}.damaged"]
    assert f"{spool.dropped} entries in it are lost" in caplog.text


async def test_a_truncated_file_is_set_aside_and_counts_as_lost(
    spool: Spool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = await leave_as_dead_worker(tmp_path, make_entries(5 * BATCH))
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    assert await spool.replay(Restored()) == 0
    assert spool.dropped == 1
    assert [path.name for path in files(tmp_path)] == [f"{file.name}.damaged"]
    assert "an unknown number of entries in it are lost" in caplog.text


async def test_a_worker_whose_own_file_is_damaged_goes_on_in_a_new_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with spool_in(tmp_path) as spool:
        add(spool, make_entries(20_000))
        await spool.flush()
        (file,) = databases(tmp_path)
        await asyncio.to_thread(overwrite, file)
        restored = Restored()
        assert await spool.replay(restored) < 20_000
        assert spool.dropped == 20_000 - len(restored.entries)
        added, restored = add(spool, make_entries(3)), Restored()
        await spool.flush()
        assert await spool.replay(restored) == 3
        assert restored.entries == added
        assert spool.size == 0
    assert f"renamed to {file}.damaged; {spool.dropped} entries in it are lost" in caplog.text


async def test_what_a_full_disk_refuses_waits_in_memory_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "spool"
    async with spool_in(folder, retry_interval=0) as spool:
        added = add(spool, make_entries(3))
        await spool.flush()
        (file,) = databases(folder)
        with limited_file_size(file.with_name(f"{file.name}-wal").stat().st_size + 100):
            for number in range(3):
                added += add(spool, make_entries(5, start=100 * (number + 1)))
                await spool.flush()
        assert (spool.dropped, spool.size) == (0, 18)
        assert caplog.text.count("wait in memory") == 1
        assert await restore_from_copy(folder, tmp_path / "copy") == added[:3]
        added += add(spool, make_entries(2, start=500))
        await spool.flush()
        assert await restore_from_copy(folder, tmp_path / "whole copy") == added
        restored = Restored()
        assert await spool.replay(restored) == len(added)
        assert restored.entries == added
        with limited_file_size(10):
            add(spool, make_entries(1))
            await spool.flush()
        assert caplog.text.count("wait in memory") == 2
        assert (spool.dropped, spool.size) == (0, 1)
        assert files(folder) == [], "a file that could not be created does not stay"


async def test_a_full_disk_stops_no_replay_of_what_it_holds(tmp_path: Path) -> None:
    added = make_entries(2 * BATCH)
    file = await leave_as_dead_worker(tmp_path, added)
    restored = Restored()
    with limited_file_size(file.stat().st_size):
        async with spool_in(tmp_path) as spool:
            assert await spool.replay(restored) == len(added)
            assert (spool.size, spool.dropped) == (0, 0)
    assert restored.entries == added
    assert files(tmp_path) == []


async def test_a_disk_that_refuses_writes_is_not_tried_for_each_entry(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file in its place")
    async with spool_in(tmp_path / "spool", retry_interval=3600) as spool:
        added = add(spool, make_entries(2))
        await spool.flush()
        (tmp_path / "spool").unlink()
        added += add(spool, make_entries(2, start=2))
        await spool.flush()
        assert not (tmp_path / "spool").exists()
        assert (spool.size, spool.dropped) == (4, 0)
    restored = Restored()
    async with spool_in(tmp_path / "spool") as after:
        await after.replay(restored)
    assert restored.entries == added, "the disk is tried once more at the end"


@pytest.mark.parametrize("retry_interval", [0, 3600])
async def test_what_waits_in_memory_is_restored_from_there(tmp_path: Path, retry_interval: float) -> None:
    (tmp_path / "spool").write_text("a file in its place")
    async with spool_in(tmp_path / "spool", retry_interval=retry_interval) as spool:
        added, restored = add(spool, make_entries(2 * BATCH + 5)), Restored(refuse=1)
        await spool.flush()
        with pytest.raises(StoreUnavailableError):
            await spool.replay(restored)
        assert (spool.size, spool.dropped) == (len(added), 0)
        added += add(spool, make_entries(1, start=len(added)))
        assert await spool.replay(restored) == len(added)
        assert (spool.size, spool.dropped) == (0, 0)
        assert restored.entries == added
        assert await spool.replay(restored) == 0


async def test_what_the_disk_refused_until_the_end_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "spool").write_text("a file in its place")
    async with spool_in(tmp_path / "spool") as spool:
        add(spool, make_entries(2))
    assert (spool.dropped, spool.size) == (2, 0)
    assert caplog.text.count("journal entries are lost") == 1


async def test_memory_is_bounded_while_the_disk_refuses_writes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "spool").write_text("a file in its place")
    async with spool_in(tmp_path / "spool", max_queued_bytes=10 * entry(0).size) as spool:
        for _ in range(3):
            add(spool, [entry(0)] * 5)
            await spool.flush()
        assert (spool.size, spool.dropped) == (10, 5)
    assert caplog.text.count("the disk is too slow") == 1


async def test_a_file_that_cannot_be_opened_stays_and_the_others_are_restored(
    spool: Spool, tmp_path: Path
) -> None:
    (tmp_path / "1-1.db").mkdir()
    added, restored = add(spool, make_entries(2)), Restored()
    assert await spool.replay(restored) == 2
    assert restored.entries == added
    assert files(tmp_path) == [tmp_path / "1-1.db"]


async def test_what_does_not_fit_in_memory_is_counted(tmp_path: Path) -> None:
    async with spool_in(tmp_path, max_queued_bytes=10 * entry(0).size) as spool:
        added = add(spool, make_entries(15))
        assert (spool.size, spool.dropped) == (10, 5)
        await spool.flush()
        added = added[:10] + add(spool, make_entries(3, start=50))  # the disk has made room
        restored = Restored()
        await spool.replay(restored)
    assert restored.entries == added


async def test_an_interrupted_replay_continues_where_it_was(spool: Spool) -> None:
    added, restored = add(spool, make_entries(3 * BATCH)), Restored(refuse=2)
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            await spool.replay(restored)
        assert spool.size == len(added)
        added += add(spool, make_entries(1, start=len(added)))
    await spool.replay(restored)
    assert restored.entries == added
    assert (spool.size, spool.dropped) == (0, 0)


async def test_an_interrupted_replay_leaves_the_rest_to_the_next_process(tmp_path: Path) -> None:
    async with spool_in(tmp_path) as spool:
        added = add(spool, make_entries(3 * BATCH))
        with pytest.raises(StoreUnavailableError):
            await spool.replay(Restored(refuse=1))
    restored = Restored()
    async with spool_in(tmp_path) as spool:
        await spool.replay(restored)
    assert restored.entries == added


async def test_entries_that_arrive_during_a_replay_are_not_lost(spool: Spool) -> None:
    restored = Restored()
    added = add(spool, make_entries(2 * BATCH))

    async def restore_while_more_come(entries: Sequence[SpoolEntry]) -> None:
        if len(added) < 3 * BATCH:
            added.extend(add(spool, make_entries(30, start=len(added))))
        await restored(entries)

    while spool.size:
        await spool.replay(restore_while_more_come)
    assert restored.entries == added


async def test_a_stop_in_the_middle_of_a_replay_loses_nothing(tmp_path: Path) -> None:
    started, restored = asyncio.Event(), Restored()

    async def never_ends(entries: Sequence[SpoolEntry]) -> None:
        started.set()
        await asyncio.Event().wait()

    for cancel_first in (True, False):
        async with spool_in(tmp_path) as spool:
            if cancel_first:
                added = add(spool, make_entries(2 * BATCH))
            replaying = asyncio.create_task(spool.replay(never_ends))
            await started.wait()
            if not cancel_first:
                await spool.aclose()
            replaying.cancel()
            await asyncio.gather(replaying, return_exceptions=True)
    async with spool_in(tmp_path) as spool:
        await spool.replay(restored)
    assert restored.entries == added


async def test_a_closed_spool_counts_later_entries_as_lost(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    await spool.aclose()
    await spool.aclose()
    spool.add(entry(0))
    assert (spool.size, spool.dropped) == (0, 1)
    assert await spool.replay(Restored()) == 0
