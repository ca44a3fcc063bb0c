"""The result of a run as a table."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from loadtests.load.verdict import Figures, Row

HEAD = ("request", "count", "wrong", "p50 ms", "p95 ms", "p99 ms", "max ms")


def terminal_table(figures: Figures) -> Table:
    """Return one row per kind of request, and one for all."""
    rate = figures.actions / figures.seconds if figures.seconds else 0.0
    title = f"{figures.messages:,} messages answered in {figures.seconds:.0f} s; {rate:.0f} actions a second"
    table = Table(title=title, box=SIMPLE_HEAD)
    for number, column in enumerate(HEAD):
        table.add_column(column, justify="right" if number else "left")
    for row in figures.rows:
        table.add_row(*_cells(row), style="bold red" if row.wrong else "")
    table.add_section()
    table.add_row(*_cells(figures.total), style="bold")
    return table


def _cells(row: Row) -> tuple[str, ...]:
    times = (row.p50, row.p95, row.p99, row.longest)
    return (row.name, f"{row.requests:,}", str(row.wrong), *(f"{value:.0f}" for value in times))
