"""How the commands speak: tables for people, JSON for programs, errors with the line to paste."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


class CommandError(Exception):
    """A command cannot do what was asked: what is wrong, and the line to paste that mends it."""

    def __init__(self, *lines: str, code: int = 1) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.code = code


def complain(*lines: str) -> None:
    """Print an error to standard error; the first line says what, the others how to mend it."""
    for number, line in enumerate(lines):
        err.print(Text(line, style="bold red" if number == 0 else ""), soft_wrap=True)


def print_json(value: object) -> None:
    """Print one JSON document, unstyled whatever the terminal."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; texts are shown as they are, never read as markup."""
    table = Table(title=title, title_justify="left", header_style="bold", expand=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out.print(table)
