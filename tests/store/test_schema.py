"""The version of the stored form, in the data directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from sms_router.store.schema import SchemaError, check_data_dir


def test_a_new_data_directory_gets_the_version(tmp_path: Path) -> None:
    check_data_dir(tmp_path / "data", create=True)
    assert (tmp_path / "data" / "schema").read_text() == "1\n"
    check_data_dir(tmp_path / "data", create=True)
    check_data_dir(tmp_path / "data", create=False)
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["schema"]


def test_an_empty_version_is_written_again(tmp_path: Path) -> None:
    (tmp_path / "schema").touch()
    check_data_dir(tmp_path, create=False)
    check_data_dir(tmp_path, create=True)
    assert (tmp_path / "schema").read_text() == "1\n"


def test_a_command_beside_a_redis_server_writes_nothing(tmp_path: Path) -> None:
    check_data_dir(tmp_path / "data", create=False)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("content", "found"), [(b"2\n", "2"), (b"\x1b[0m" + b"x" * 99, r"'\x1b[0mxxxxxxxxxxxxxxxx'")]
)
def test_the_data_of_another_version_is_refused_in_one_sentence(
    tmp_path: Path, content: bytes, found: str
) -> None:
    (tmp_path / "schema").write_bytes(content)
    for create in (True, False):
        with pytest.raises(SchemaError) as refused:
            check_data_dir(tmp_path, create=create)
        assert str(refused.value) == (
            f"{tmp_path} has data of schema {found}, and this sms-router needs schema 1: run the version of "
            "sms-router that wrote it, or set another data_dir in router.toml."
        )
    assert (tmp_path / "schema").read_bytes() == content


def test_a_directory_that_cannot_be_used_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(OSError):
            check_data_dir(path, create=True)
