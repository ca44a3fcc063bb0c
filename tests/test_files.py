from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from sms_router.files import stored_secret


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return what reads a secret whose own folder cannot be written."""
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    numbers = itertools.count(100)
    return lambda **options: stored_secret(
        tmp_path / "file" / "token", lambda: f"{next(numbers)}", 3, **options
    )


def test_a_secret_whose_folder_is_read_only_is_stored_for_this_user_alone(
    secret: Callable[..., str], tmp_path: Path
) -> None:
    assert [secret(write=False), secret(), secret(write=False), secret()] == ["100", "101", "101", "101"]
    (folder,) = tmp_path.glob("sms-router-*")
    (file,) = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.parametrize("kind", ["open", "link"])
def test_a_folder_that_others_can_change_has_no_secrets(
    secret: Callable[..., str], tmp_path: Path, kind: str
) -> None:
    assert secret() == "100"
    (folder,) = tmp_path.glob("sms-router-*")
    if kind == "open":
        folder.chmod(0o755)
    else:
        folder.rename(tmp_path / "others")
        folder.symlink_to(tmp_path / "others")
    assert [secret(), secret()] == ["101", "102"]
