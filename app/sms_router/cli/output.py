"""Output of the commands: tables for people, JSON for programs, errors with a line to paste."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer import Argument, Option
from typer.core import TyperGroup

from sms_router.logs import escape_control_chars
from sms_router.twilio.phone_numbers import InvalidNumberError, parse_address, parse_contact

stdout = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)

TextArgument = Annotated[
    list[str], Argument(metavar="TEXT", help="Text of the message; several words need no quotes.")
]
JsonOption = Annotated[bool, Option("--json", help="Print JSON, for programs.")]
RevealOption = Annotated[bool, Option("--reveal", help="Show numbers and texts in full.")]


class Noun(TyperGroup):
    """Commands about one thing; without one of them, it lists."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing and (
            not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        ):
            args = ["list", *args]
        return super().parse_args(ctx, args)


class CommandError(Exception):
    """A command failed: raised wherever it cannot go on; `main` prints the lines.

    Args:
        lines: what is wrong, then what to do about it.
        code: the exit code: 1 for a problem or nothing found, 2 for wrong usage.

    """

    def __init__(self, *lines: str, code: int = 1) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.code = code


def address_option(value: str | None) -> str | None:
    """Parse an address such as ``+1 (415) 555-0123`` or ``12345``."""
    try:
        return None if value is None else parse_address(value)
    except InvalidNumberError as error:
        raise typer.BadParameter(str(error)) from error


def contact_option(value: str) -> str:
    """Parse the address of a person, and return the contact's id."""
    try:
        return parse_contact(value)
    except InvalidNumberError as error:
        raise typer.BadParameter(str(error)) from error


def fail(what: str, *lines: str, mistakes: Sequence[str] = ()) -> None:
    """Print why a command failed; with ``--json`` a JSON document too, on standard output."""
    print_error(what, *lines, *mistakes)
    arguments = sys.argv[1:]
    if "--json" in arguments[: arguments.index("--") if "--" in arguments else None]:
        print_json({"error": what.rstrip(":"), "remedy": list(lines), "mistakes": list(mistakes)})


def print_error(*lines: str) -> None:
    """Print to standard error; the first line in bold red."""
    for number, line in enumerate(lines):
        print_line(line, "bold red" if number == 0 else "", console=stderr)


def plain(text: str, style: str = "") -> Text:
    """Return text that is not parsed as markup, with control characters escaped."""
    writable = text.encode("utf-8", "backslashreplace").decode()
    return Text(escape_control_chars(writable), style=style)


def print_json(value: object, indent: int | None = 2) -> None:
    """Print one JSON document, with dates in ISO 8601; without ``indent`` on one line."""
    is_utf8 = (sys.stdout.encoding or "").lower().startswith("utf")
    document = json.dumps(value, indent=indent, ensure_ascii=not is_utf8, default=date.isoformat)
    # A lone surrogate cannot be encoded, but its escape sequence means the same in JSON.
    sys.stdout.write(document.encode("utf-8", "backslashreplace").decode() + "\n")


class _Tables:
    """How wide tables may be, in columns; None: as wide as the terminal."""

    width: int | None = None


tables = _Tables()


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, optional: Sequence[str] = ()
) -> None:
    """Print a table of plain texts, in which no value is broken; sentences wrap at their blanks.

    Where a terminal is too narrow, ``optional`` columns are left out, and a line below names them. If that
    is not enough, each row is a block with a line for each column. A pipe and a file get the whole table.
    """
    cells = [[plain(cell) for cell in row] for row in rows]
    width = tables.width or (stdout.width if stdout.is_terminal else UNLIMITED)
    least = [_least_width(column, [row[index] for row in cells]) for index, column in enumerate(columns)]
    shown = list(range(len(columns)))
    for name in optional:
        if _table_width(least, shown) > width:
            shown.remove(columns.index(name))
    if _table_width(least, shown) > width:
        _print_blocks(columns, cells)
        return
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for index in shown:
        table.add_column(plain(columns[index]), overflow="fold", min_width=least[index])
    for row in cells:
        table.add_row(*(row[index] for index in shown))
    (stdout if width == stdout.width else Console(highlight=False, width=width)).print(table)
    if left_out := [column for index, column in enumerate(columns) if index not in shown]:
        print_line(f"Left out: {', '.join(left_out)}. Show all: {command_line()} --wide")


def _table_width(least: Sequence[int], shown: Sequence[int]) -> int:
    """Return the least width of a table of these columns, with three between two and one on each side."""
    return sum(least[index] + 3 for index in shown) - 1


def _least_width(column: str, cells: Sequence[Text]) -> int:
    """Return how narrow a column may be: what is longer than `_MAX_UNBROKEN` wraps at its blanks."""
    lines = [column, *(line for cell in cells for line in cell.plain.splitlines())]
    wrapped = (
        len(line) if len(line) <= _MAX_UNBROKEN else max(16, *map(len, line.split())) for line in lines
    )
    return max(wrapped, default=0)


def _print_blocks(columns: Sequence[str], rows: Sequence[Sequence[Text]]) -> None:
    widest = max(map(len, columns))
    for row in rows:
        stdout.print()
        for column, cell in zip(columns, row, strict=True):
            print_line(cell.plain, label=f"{column:{widest}}  ")


UNLIMITED = 10_000

_MAX_UNBROKEN = 24
"""Longest text that never wraps; a time with its zone has 23 characters."""


def print_line(
    text: str, style: str = "", *, label: str = "", label_style: str = "bold", console: Console = stdout
) -> None:
    """Print plain text, behind a label if there is one.

    A command of this program, behind a colon or at the start of a line, is printed as it runs from here. In a
    terminal its lines wrap at words, and what follows is indented. A pipe and a file get long lines.
    """
    wrapped = _wrap(_OWN_COMMAND.sub(lambda match: f"{match[1]}{program()} ", text), console, len(label))
    console.print(Text.assemble(plain(label, label_style), plain(wrapped, style)), soft_wrap=True)


_OWN_COMMAND = re.compile(r"(^ *|: )sms-router (?=[a-z])", re.MULTILINE)

_WORDS = re.compile(
    r"( *)((?:(?<=: )|(?<!.))(?:\S+ -m sms_router|\S*sms-router|export|make|cd) .*?(?:[;,.](?= )|$)|\S+)"
)
"""Each word with the blanks before it; a command to paste, at the start or behind a colon, is one word."""


def _wrap(text: str, console: Console, label_width: int = 0) -> str:
    """Break lines that are wider than the terminal."""
    if not console.is_terminal:
        return text
    lines: list[str] = []
    for line in text.split("\n"):
        margin = len(line) - len(line.lstrip(" "))
        indent, row = " " * (label_width or margin + 2), " " * margin
        width = console.width - (0 if lines else label_width)
        for blanks, word in _WORDS.findall(line[margin:]):
            if row.strip() and cell_len(row + blanks + word) > width:
                lines.append(row)
                width, row = console.width, indent + word
            else:
                row += blanks + word
        lines.append(row)
    return "\n".join(lines)


def plural(number: int, thing: str) -> str:
    """Return ``1 rule``, ``2 rules`` or ``2 entries``."""
    if number == 1:
        return f"1 {thing}"
    return f"{number} {thing[:-1]}ies" if thing.endswith("ry") else f"{number} {thing}s"


def confirm(question: str, *, yes: bool, refusal: str = "Nothing was changed.") -> None:
    """Ask a question before a change, unless ``yes``.

    Raises:
        CommandError: when the answer is no (exit code 1), or there is no terminal (2).

    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Confirm with --yes:", f"{command_line()} --yes", code=2)
    if not typer.confirm(_wrap(question, stdout)):
        raise CommandError(refusal)


def command_line() -> str:
    return " ".join([program(), shlex.join(sys.argv[1:])])


def program() -> str:
    """Return how to run this program again from the current folder."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return f"{_shortest_path(Path(sys.executable))} -m sms_router"
    return _shortest_path(started)


def _shortest_path(path: Path) -> str:
    """Return the name of a program when PATH leads to it, else its path."""
    absolute = Path(shutil.which(path) or path).absolute()  # not resolved: a link selects the environment
    in_path = shutil.which(path.name)
    if in_path is not None and Path(in_path).absolute() == absolute:
        return path.name
    current = Path.cwd()
    return shlex.quote(str(absolute.relative_to(current) if absolute.is_relative_to(current) else absolute))
