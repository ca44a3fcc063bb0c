"""The folder of several workers' metrics, which no full disk affects."""

from __future__ import annotations

from pathlib import Path

import pytest

from sms_router.server import metrics_dir as module
from sms_router.server.metrics_dir import multiprocess_metrics_dir


def test_the_folder_is_in_memory_and_deleted_at_the_end(tmp_path: Path) -> None:
    with multiprocess_metrics_dir(tmp_path / "disk", tmp_path) as folder:
        assert folder.parent == tmp_path
        assert not (tmp_path / "disk").exists()
    assert not folder.exists()


def test_without_free_memory_an_empty_folder_on_disk_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "counter_1.db").touch()
    monkeypatch.setattr(module, "MIN_FREE_BYTES", 1 << 62)
    with multiprocess_metrics_dir(disk, tmp_path) as folder:
        assert (folder, list(folder.iterdir())) == (disk, [])


def test_without_a_writable_disk_a_temporary_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with multiprocess_metrics_dir(tmp_path / "file" / "disk", tmp_path / "nowhere") as folder:
        assert folder.is_dir()
        assert not folder.is_relative_to(tmp_path)


def test_folders_of_killed_routers_are_deleted_and_others_are_not(tmp_path: Path) -> None:
    left, alien = tmp_path / "sms-router-metrics-left", tmp_path / "other"
    for each in (left, alien):
        each.mkdir()
        (each / "owner").touch()
    with (
        multiprocess_metrics_dir(tmp_path / "disk", tmp_path) as first,
        multiprocess_metrics_dir(tmp_path / "disk", tmp_path),
    ):
        assert first.is_dir()
        assert (left.exists(), alien.exists()) == (False, True)
