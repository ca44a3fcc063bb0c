"""A type checker accepts every handler in the pages, and rejects what the router would reject."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.documentation.pages import code_blocks

WRONG = """
from sms_router import Event, keyword, on


@keyword("A")
async def a() -> dict[str, str]:
    return {}


@keyword("B")
def b() -> int:
    return 1


@on("delivered")
def c(event: Event) -> str:
    return "sent"
"""


@pytest.mark.slow
def test_the_examples_are_typed_and_wrong_returns_are_refused(tmp_path: Path) -> None:
    for number, block in enumerate(code_blocks("python")):
        (tmp_path / f"example_{number}.py").write_text(block.text)
    (tmp_path / "wrong.py").write_text(WRONG)
    files = sorted(path.name for path in tmp_path.glob("*.py"))
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", *files]
    output = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True).stdout
    mistakes = [line for line in output.splitlines() if ": error: " in line]
    assert [line.split(":")[0] for line in mistakes] == ["wrong.py"] * 3, output
