"""Lines for people: how they wrap in a terminal."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from sms_router.cli.output import print_line

REPEAT = ".venv/bin/sms-router replay SM0123456789 --wait 60"


def printed(text: str, label: str = "", *, width: int | None = 40) -> str:
    """Return what a terminal of this width shows, or a file (None)."""
    console = Console(
        file=io.StringIO(), width=width or 40, force_terminal=width is not None, color_system=None
    )
    print_line(text, label=label, console=console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("fits", "fits\n"),
        ("", "\n"),
        (
            "a sentence that does not fit the width of a terminal",
            "a sentence that does not fit the width\n  of a terminal\n",
        ),
        (
            "    a remedy that is longer than the terminal is wide",
            "    a remedy that is longer than the\n      terminal is wide\n",
        ),
        ("two lines\n\n  of text", "two lines\n\n  of text\n"),
        (f"x {'y' * 50} z", f"x\n  {'y' * 50}\n  z\n"),
        (f"Correct it, then repeat: {REPEAT}", f"Correct it, then repeat:\n  {REPEAT}\n"),
        (f"Repeat it: {REPEAT}, or wait", f"Repeat it:\n  {REPEAT},\n  or wait\n"),
        (REPEAT, f"{REPEAT}\n"),
        ("日本語" * 6 + " " + "日本語" * 3, "日本語" * 6 + "\n  " + "日本語" * 3 + "\n"),
    ],
)
def test_lines_wrap_at_words_and_commands_stay_whole(text: str, shown: str) -> None:
    assert printed(text) == shown


def test_text_behind_a_label_is_indented_by_it() -> None:
    text = "We are open from nine to five, and on Sundays from ten"
    assert printed(text, "Reply  ") == (
        "Reply  We are open from nine to five,\n       and on Sundays from ten\n"
    )


def test_commands_are_printed_as_they_run_from_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / ".venv" / "bin" / "sms-router"), "messages"])
    assert (
        printed("List them: sms-router messages", width=None) == "List them: .venv/bin/sms-router messages\n"
    )
    assert (
        printed("What is wrong.\n  sms-router check", width=None)
        == "What is wrong.\n  .venv/bin/sms-router check\n"
    )
    assert printed("this sms-router needs schema 1", width=None) == "this sms-router needs schema 1\n"


def test_a_file_gets_long_lines() -> None:
    text = "a sentence that does not fit the width of a terminal"
    assert printed(text, "Reply  ", width=None) == f"Reply  {text}\n"
