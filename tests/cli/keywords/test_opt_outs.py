"""``opt-outs import`` and ``export`` with files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli

SERVICE = "MG" + "1" * 32


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"number\n" + b"1" * 200_000, "is not a CSV file"),
        (b"number\n\xff", "is not UTF-8"),
        (b"", "the first line must name the columns"),
        (b"number,since\n+14155550123,9999-12-31T23:59:59-12:00\n", "has not come yet"),
        (b"number,since\n+14155550123,0001-01-01T00:00:00+12:00\n", "is before 1970"),
    ],
    ids=["huge", "binary", "empty", "future", "past"],
)
def test_a_file_that_is_no_list_is_told(
    cli: Cli, valkey_url: str, folder: Path, content: bytes, told: str
) -> None:
    (folder / "list.csv").write_bytes(content)
    spoken = cli("opt-outs", "import", "list.csv", "--service", SERVICE, REDIS_URL=valkey_url)
    assert spoken.code == 1
    assert spoken.err.startswith("list.csv: ")
    assert told in spoken.err


def test_a_place_that_cannot_be_written_is_told(cli: Cli, valkey_url: str, folder: Path) -> None:
    spoken = cli("opt-outs", "export", "nowhere/list.csv", REDIS_URL=valkey_url)
    assert (spoken.code, spoken.out) == (1, "")
    assert spoken.err == "nowhere/list.csv cannot be written: No such file or directory\n"
