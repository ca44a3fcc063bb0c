"""``opt-outs import`` and ``export`` with files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli

SERVICE = "MG" + "1" * 32


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        (b"number\n" + b"1" * 200_000, "is not a CSV file"),
        (b"number\n\xff", "is not UTF-8"),
        (b"", "the first line must name the columns"),
        (b"number,since\n+14155550123,9999-12-31T23:59:59-12:00\n", "is in the future"),
        (b"number,since\n+14155550123,0001-01-01T00:00:00+12:00\n", "or before 1970"),
    ],
    ids=["huge", "binary", "empty", "future", "past"],
)
def test_an_invalid_file_is_reported(
    cli: Cli, valkey_url: str, folder: Path, content: bytes, reported: str
) -> None:
    (folder / "list.csv").write_bytes(content)
    result = cli("opt-outs", "import", "list.csv", "--service", SERVICE, REDIS_URL=valkey_url)
    assert result.code == 1
    assert result.err.startswith("list.csv: ")
    assert reported in result.err


def test_an_unwritable_file_is_reported(cli: Cli, valkey_url: str, folder: Path) -> None:
    result = cli("opt-outs", "export", "nowhere/list.csv", REDIS_URL=valkey_url)
    assert (result.code, result.out) == (1, "")
    assert result.err == "nowhere/list.csv cannot be written: No such file or directory\n"
