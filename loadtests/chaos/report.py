"""The scenarios as a table: once for the terminal, once for the README."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table

from loadtests.bench.report import Cells, as_markdown
from loadtests.chaos.audit import Audit
from loadtests.chaos.faults import Scenario

BEGIN = "<!-- chaos:begin -->"
END = "<!-- chaos:end -->"
HEAD = (
    "broken",
    "sent",
    "answered",
    "fallback",
    "none",
    "wrong",
    "twice",
    "differs",
    "lost",
    "late",
    "max ms",
)


@dataclass(frozen=True, slots=True)
class Played:
    """A scenario and what came of it."""

    scenario: Scenario
    audit: Audit


def cells(played: Sequence[Played]) -> Cells:
    """Return one row for each scenario."""
    return Cells(HEAD, tuple((each.scenario.name, *figures(each.audit)) for each in played))


def figures(audit: Audit) -> tuple[str, ...]:
    """Return the figures in the order of the columns."""
    numbers = (
        audit.sent, audit.answered, audit.fell_back,
        audit.unanswered, audit.wrong, audit.twice, audit.differs, audit.lost,
    )  # fmt: skip
    late = f"{audit.late.arrived}/{audit.late.due}" + (
        f" ({audit.late.twice} twice)" if audit.late.twice else ""
    )
    return (*map(str, numbers), late, f"{audit.slowest * 1000:.0f}")


def terminal_table(played: Sequence[Played]) -> Table:
    """Return the table for the terminal; what is not as it must be is red."""
    table = Table(
        title="under steady load, while it was broken and mended", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for number, column in enumerate(HEAD):
        table.add_column(column, justify="right" if number else "left")
    for each in played:
        style = "" if each.audit.good else "bold red"
        table.add_row(each.scenario.name, *figures(each.audit), style=style)
    return table


def markdown(played: Sequence[Played], measured: str) -> str:
    """Return the table for the README; ``measured`` says when and on what."""
    return f"{measured}\n\n{as_markdown(cells(played))}"
