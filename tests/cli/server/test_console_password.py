"""The password that ``serve`` generates beside the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from sms_router.cli.server.serve import console_lines, generate_password
from sms_router.config.settings import Settings, load_settings


def settings(folder: Path, data: Path, **environment: str) -> Settings:
    folder.mkdir(exist_ok=True)
    (folder / "router.toml").write_text(f'[router]\ndata_dir = "{data}"\n')
    return load_settings({"SMS_ROUTER_CONFIG": str(folder), **environment})


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSOLE_PASSWORD", "")  # and put back what was there


def test_the_password_is_generated_once_in_a_private_file(tmp_path: Path) -> None:
    first, second = (generate_password(settings(tmp_path / "c", tmp_path / "d")) for _ in range(2))
    assert first == second
    assert first is not None
    assert len(first) == 16
    assert (tmp_path / "d" / "console-password").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"\n", b"short\n", b"\xff\xfe"])
def test_an_invalid_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "console-password").write_bytes(content)
    made = generate_password(settings(tmp_path / "c", tmp_path))
    assert made == (tmp_path / "console-password").read_text().strip()


def test_a_password_is_generated_without_a_writable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "file").touch()
    assert generate_password(settings(tmp_path / "c", tmp_path / "file" / "data"))


def test_a_configured_password_is_not_replaced(tmp_path: Path) -> None:
    chosen = settings(tmp_path / "c", tmp_path / "d", CONSOLE_PASSWORD="a long password")
    assert generate_password(chosen) is None
    assert not (tmp_path / "d").exists()
    (line,) = console_lines(chosen, None)
    assert "http://127.0.0.1:8000/console" in line
    assert "a long password" not in line


def test_without_a_password_the_remedy_is_printed(tmp_path: Path) -> None:
    (line,) = console_lines(settings(tmp_path / "c", tmp_path / "d"), None)
    assert "The console is off" in line
    assert "export CONSOLE_PASSWORD=" in line
