"""How the commands speak: tables for people, JSON for programs, errors with the line to paste."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sms_router.logs import escape_control_chars
from sms_router.twilio.phone_numbers import parse_phone_number

stdout = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)

WhatIsTexted = Annotated[
    list[str], typer.Argument(metavar="TEXT", help="What somebody texts; several words need no quotes.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


class CommandError(Exception):
    """A command cannot do what was asked: what is wrong, and the line to paste that mends it."""

    def __init__(self, *lines: str, code: int = 1) -> None:
        """``code`` is the exit code: 1 for a problem or nothing found, 2 for wrong use."""
        super().__init__("\n".join(lines))
        self.lines = lines
        self.code = code


def address(value: str | None) -> str | None:
    """Read a number as people write it: ``+1 (415) 555-0123``; anything that is not E.164 stays as it is."""
    if value is None or not value.strip():
        if value is not None:
            raise typer.BadParameter("a number like +14155550123 or 12345 is needed")
        return None
    return parse_phone_number(value)


def fail(what: str, *lines: str, mistakes: Sequence[str] = ()) -> None:
    """Tell why a command could not do what was asked; programs get it as one JSON document."""
    print_error(what, *lines, *mistakes)
    words = sys.argv[1:]
    if "--json" in words[: words.index("--") if "--" in words else None]:
        print_json({"error": what.rstrip(":"), "remedy": list(lines), "mistakes": list(mistakes)})


def print_error(*lines: str) -> None:
    """Print an error to standard error; the first line says what, the others how to mend it."""
    for number, line in enumerate(lines):
        stderr.print(plain(line, "bold red" if number == 0 else ""), soft_wrap=True)


def plain(text: str, style: str = "") -> Text:
    """Return text as it is: never read as markup, with terminal controls made visible."""
    writable = text.encode("utf-8", "backslashreplace").decode()
    return Text(escape_control_chars(writable), style=style)


def print_json(value: object) -> None:
    """Print one JSON document, unstyled whatever the terminal."""
    readable = (sys.stdout.encoding or "").lower().startswith("utf")
    document = json.dumps(value, indent=2, ensure_ascii=not readable)
    # A lone surrogate cannot be written, but its escape means the same in JSON.
    sys.stdout.write(document.encode("utf-8", "backslashreplace").decode() + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; texts are shown as they are, never read as markup."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(plain(column), overflow="fold")
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    stdout.print(table)


def plural(number: int, thing: str) -> str:
    """Say how many: ``1 rule``, ``2 rules``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot simply be undone.

    Raises:
        CommandError: when the answer is no (1), or there is no terminal to ask on (2).

    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Say so with --yes:", f"{command_line()} --yes", code=2)
    if not typer.confirm(question):
        raise CommandError("Nothing was changed.")


def command_line() -> str:
    """Return what was typed, for a line to paste."""
    return " ".join([program(), shlex.join(sys.argv[1:])])


def program() -> str:
    """Return what to type, in the folder we were started in, to run this program again."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return f"{_typed(Path(sys.executable))} -m app"
    return _typed(started)


def _typed(path: Path) -> str:
    """Return the shortest way to name a program: by its name if that leads there, else by its path."""
    whole = Path(shutil.which(path) or path).absolute()  # not resolved: links choose the environment
    found = shutil.which(path.name)
    if found is not None and Path(found).absolute() == whole:
        return path.name
    return shlex.quote(str(whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole))
