"""What workers know of opt-outs that start, or go on, while Redis is away."""

from __future__ import annotations

import asyncio
import stat
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from sms_router.routing.opt_outs import disk_cache as opt_outs_on_disk
from sms_router.routing.opt_outs.cache import OptOutCache
from sms_router.routing.opt_outs.consent_log import LARGEST, ConsentLog
from sms_router.routing.opt_outs.disk_cache import OptOutDiskCache
from tests.waiting import until

MG = "MG1"
ONE, OTHER = (MG, "+14155550101"), (MG, "+14155550102")


def worker(folder: Path, *, whole: bool, away: bool = True) -> tuple[OptOutCache, OptOutDiskCache]:
    copy = OptOutCache()
    copy.complete = whole
    return copy, OptOutDiskCache(folder / "opt-outs", copy, lambda: away)


def files(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opt_outs_on_disk, "KEEP_EVERY", 0.01)


async def test_who_starts_without_redis_knows_what_others_knew(tmp_path: Path) -> None:
    copy, disk = worker(tmp_path, whole=True)
    copy.remember(*ONE)
    copy.remember(*OTHER)
    copy.forget(*OTHER)
    await disk.start()
    await disk.aclose()
    assert stat.S_IMODE((tmp_path / "opt-outs").stat().st_mode) == 0o600

    copy, disk = worker(tmp_path, whole=False)
    await disk.start()
    assert (ONE in copy, OTHER in copy, copy.complete) == (True, False, True)
    await disk.aclose()
    assert files(tmp_path) == ["opt-outs"]


async def test_without_redis_the_workers_of_a_machine_learn_from_each_other(tmp_path: Path) -> None:
    (copy, disk), (others, theirs) = worker(tmp_path, whole=True), worker(tmp_path, whole=True)
    await disk.start()
    await theirs.start()
    copy.remember(*ONE)
    others.remember(*OTHER)
    await until(lambda: ONE in others and OTHER in copy)
    await disk.aclose()
    await theirs.aclose()
    everybody, third = worker(tmp_path, whole=False)
    await third.start()
    assert set(everybody) == {ONE, OTHER}
    await third.aclose()


async def test_without_redis_who_comes_back_by_one_worker_is_answered_by_the_others(tmp_path: Path) -> None:
    (copy, disk), (others, theirs) = worker(tmp_path, whole=True), worker(tmp_path, whole=True)
    copy.remember(*ONE)
    others.remember(*ONE)
    await disk.start()
    await theirs.start()
    for wish, out in (("start", False), ("stop", True), ("start", False), ("stop", True), ("start", False)):
        copy.record_local(f"{wish} {' '.join(ONE)}")
        await until(lambda: (ONE in others) is out)  # noqa: B023
        copy, others = others, copy
    third_copy, third = worker(tmp_path, whole=False)
    await third.start()
    assert ONE not in third_copy
    for each in (disk, theirs, third):
        await each.aclose()


async def test_nothing_is_written_again_and_again_once_everybody_knows(tmp_path: Path) -> None:
    (copy, disk), (others, theirs) = worker(tmp_path, whole=True), worker(tmp_path, whole=True)
    await disk.start()
    await theirs.start()
    copy.record_local(f"stop {' '.join(ONE)}")
    others.record_local(f"stop {' '.join(OTHER)}")
    await until(lambda: ONE in others and OTHER in copy)
    copy.record_local(f"start {' '.join(ONE)}")
    await until(lambda: (tmp_path / "opt-outs").read_text() == "MG1 +14155550102\n" and ONE not in others)
    looks, looked = 0, disk._log.read_new

    def counting(*, all_of_it: bool = False) -> list[str]:
        nonlocal looks
        looks += 1
        return looked(all_of_it=all_of_it)

    disk._log.read_new = counting  # type: ignore[method-assign]
    await until(lambda: looks > 5)
    before = (tmp_path / "opt-outs").stat()
    await until(lambda: looks > 20)
    assert (tmp_path / "opt-outs").stat().st_ino == before.st_ino
    for each in (disk, theirs):
        await each.aclose()


async def test_what_was_said_without_redis_does_not_outlast_its_return(tmp_path: Path) -> None:
    away = True
    copy = OptOutCache()
    copy.complete = True
    disk = OptOutDiskCache(tmp_path / "opt-outs", copy, lambda: away)
    await disk.start()
    copy.record_local(f"stop {' '.join(ONE)}")
    await until((tmp_path / "opt-outs.said").exists)
    assert stat.S_IMODE((tmp_path / "opt-outs.said").stat().st_mode) == 0o600
    away = False
    await until(lambda: not (tmp_path / "opt-outs.said").exists())
    copy.record_local(f"start {' '.join(ONE)}")
    await until(lambda: not copy.said)
    assert not (tmp_path / "opt-outs.said").exists()
    await disk.aclose()


def test_a_line_that_a_full_disk_has_cut_off_says_nothing(tmp_path: Path) -> None:
    log = ConsentLog(tmp_path / "said")
    log.add(["stop MG1 +14155550101"])
    with (tmp_path / "said").open("ab") as file:
        file.write(b"\nstart MG1 +1415555010")
    assert log.read_new() == ["stop MG1 +14155550101"]
    log.add(["stop MG1 +14155550102"])
    assert log.read_new() == ["stop MG1 +14155550102"]
    assert log.read_new() == []
    assert len(log.read_new(all_of_it=True)) == 2


def test_a_log_does_not_grow_for_ever(tmp_path: Path) -> None:
    log = ConsentLog(tmp_path / "said")
    for _ in range(3):
        log.add(["stop MG1 +14155550101"] * 50_000)
    assert (tmp_path / "said").stat().st_size < 2 * LARGEST


async def test_a_stop_waits_for_the_writing_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the older list may end in the place of the newer one."""
    held, begun = threading.Event(), threading.Event()
    copy, disk = worker(tmp_path, whole=True)
    write = OptOutDiskCache._write

    def slow(self: OptOutDiskCache, people: Iterable[tuple[str, str]]) -> None:
        if not begun.is_set():
            begun.set()
            held.wait(10)
        write(self, people)

    monkeypatch.setattr(OptOutDiskCache, "_write", slow)
    await disk.start()
    await until(begun.is_set)
    copy.remember(*ONE)
    closing = asyncio.create_task(disk.aclose())
    await asyncio.sleep(0.05)
    held.set()
    await closing
    disk._disk._thread.shutdown(wait=True)
    assert (tmp_path / "opt-outs").read_text() == "MG1 +14155550101\n"


async def test_while_redis_serves_it_is_what_counts(tmp_path: Path) -> None:
    (tmp_path / "opt-outs").write_text("MG1 +14155550101\n")
    copy, disk = worker(tmp_path, whole=True, away=False)
    await disk.start()
    copy.remember(*OTHER)
    await until(lambda: (tmp_path / "opt-outs").read_text() == "MG1 +14155550102\n")
    assert ONE not in copy
    await disk.aclose()


async def test_a_list_that_is_not_whole_replaces_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy, disk = worker(tmp_path, whole=False)
    await disk.start()
    copy.remember(*ONE)
    await disk.aclose()
    assert not (tmp_path / "opt-outs").exists()
    assert "may be answered" in caplog.text


async def test_a_disk_that_cannot_be_written_or_read_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "opt-outs").mkdir()
    copy, disk = worker(tmp_path, whole=False)
    await disk.start()
    copy.complete = True
    copy.remember(*ONE)
    await disk.aclose()
    assert "cannot be read" in caplog.text
    assert "cannot be kept" in caplog.text
    assert files(tmp_path) == ["opt-outs"]
