"""``opt-outs import`` and ``export`` with files that are none, and the evidence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, CommandResult

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


def test_the_evidence_is_shown_and_exported_with_a_digest(cli: Cli, valkey_url: str, folder: Path) -> None:
    def run(*words: str) -> CommandResult:
        return cli("opt-outs", *words, REDIS_URL=valkey_url)

    assert run("show", "+14155550123").code == 1
    assert run("add", "+1 (415) 555-0123", "--service", SERVICE, "--source", "phone call").code == 0
    assert run("remove", "+14155550123", "--service", SERVICE).code == 0
    (folder / "list.csv").write_text("number,source\n+14155550199,the old system\n")
    assert run("import", "list.csv", "--service", SERVICE).code == 0
    shown = json.loads(run("show", "+14155550123", "--json").out)
    assert [(entry["number"], entry["event"], entry["how"], entry["source"]) for entry in shown] == [
        ("+1415•••0123", "stop", "operator", "phone call"),
        ("+1415•••0123", "start", "operator", "operator"),
    ]
    assert "phone call" in run("show", "+14155550123").out
    for name in ("evidence.csv", "evidence.json"):
        written = run("export", "--evidence", name)
        assert written.out.startswith(f"3 entries written to {name}, SHA-256 ")
        text = (folder / name).read_text()
        assert "the old system" in text
        checked = run("export", "--verify", name)
        assert (checked.code, checked.out.split()[-1]) == (0, written.out.split()[-1].rstrip("."))
        (folder / name).write_text(text.replace("phone call", "letter"))
        changed = run("export", "--verify", name)
        assert (changed.code, changed.out) == (1, "")
        assert "was changed" in changed.err
