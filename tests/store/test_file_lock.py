from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sms_router.store.file_lock import try_lock


def test_a_locked_file_has_one_holder_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    first = try_lock(path, create=True)
    assert first is not None
    assert try_lock(path, create=True) is try_lock(path, create=False) is None
    first.close()
    second = try_lock(path, create=False)
    assert second is not None
    second.close()


def test_a_missing_file_is_created_only_on_request(tmp_path: Path) -> None:
    assert try_lock(tmp_path / "file", create=False) is None
    assert not (tmp_path / "file").exists()
    with pytest.raises(FileNotFoundError):
        try_lock(tmp_path / "no folder" / "file", create=True)


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    file = try_lock(tmp_path / "file", create=True)
    assert file is not None
    with file:
        assert os.fstat(file.fileno()).st_mode & 0o777 == 0o600


def test_a_held_file_is_always_the_one_at_its_path(tmp_path: Path) -> None:
    """Its holder may remove it while another process has opened it and is about to lock it."""
    path = tmp_path / "file"

    def take_and_remove(_: int) -> bool:
        file = try_lock(path, create=True)
        if file is None:
            return True
        with file:
            ours = path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno()))
            path.unlink(missing_ok=True)
        return ours

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(take_and_remove, range(4000)))
