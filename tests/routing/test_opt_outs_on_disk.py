"""What workers know of opt-outs that start, or go on, while Redis is away."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from app.routing import opt_outs_on_disk
from app.routing.opt_out_copy import OptOutCopy
from app.routing.opt_outs_on_disk import OptOutsOnDisk

MG = "MG1"
ONE, OTHER = (MG, "+14155550101"), (MG, "+14155550102")


def worker(folder: Path, *, whole: bool, away: bool = True) -> tuple[OptOutCopy, OptOutsOnDisk]:
    copy = OptOutCopy()
    copy.whole = whole
    return copy, OptOutsOnDisk(folder / "opt-outs", copy, lambda: away)


def files(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


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
    assert (ONE in copy, OTHER in copy, copy.whole) == (True, False, True)
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
    copy.whole = True
    copy.remember(*ONE)
    await disk.aclose()
    assert "cannot be read" in caplog.text
    assert "cannot be kept" in caplog.text
    assert files(tmp_path) == ["opt-outs"]
