"""The result as a table: once for the terminal, once for the README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from loadtests.bench.figures import Summary
from loadtests.bench.machine import Machine

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"
REFERENCES = ("floor", "bare", "starlette", "fastapi", "flask", "express")
"""The contestants that the others' CPU is divided by."""

COST = ("cost", "CPU µs", "range", *(f"x {name}" for name in REFERENCES), "Valkey µs", "MB")
SPEED = ("speed", "messages/s", "generator", "p50 ms", "p99 ms", "p99.9 ms", "at", "wrong")
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Run:
    """One whole run: what was asked for, where, when, and what came out."""

    command: str
    machine: Machine
    day: date
    rounds: int
    summaries: tuple[Summary, ...]

    @property
    def wrong(self) -> int:
        """How many answers were wrong or missing."""
        return sum(summary.wrong for summary in self.summaries)

    @property
    def told(self) -> str:
        """When, how and where it was measured, in two sentences."""
        return f"Measured {self.day.isoformat()} with `{self.command}`: {self.rounds_told}.\n{self.machine}."

    @property
    def rounds_told(self) -> str:
        """What each figure is of."""
        return "one round" if self.rounds == 1 else f"medians of {self.rounds} rounds"


@dataclass(frozen=True, slots=True)
class Cells:
    """A table as text, before anybody has drawn it."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class MissingMarkersError(ValueError):
    """A README without the two lines that the table goes between."""


def tables(summaries: Sequence[Summary]) -> tuple[Cells, Cells]:
    """Return what a message costs, and how fast it is answered; one row for each contestant."""
    costs = {summary.name: summary.cpu for summary in summaries}
    return (
        Cells(COST, tuple(_cost(summary, costs) for summary in summaries)),
        Cells(SPEED, tuple(_speed(summary) for summary in summaries)),
    )


def terminal_tables(run: Run) -> list[Table]:
    """Return the tables for the terminal."""
    return [as_table(cells, run.rounds_told) for cells in tables(run.summaries)]


def markdown(run: Run) -> str:
    """Return the tables and what they were measured with, for the README."""
    return "\n\n".join([run.told, *(as_markdown(cells) for cells in tables(run.summaries))])


def write_between_markers(path: Path, text: str, begin_mark: str = BEGIN, end_mark: str = END) -> None:
    """Put the text between the markers of a file and leave the rest as it is.

    Raises:
        MissingMarkersError: when the file has no such markers.

    """
    before, begin, rest = path.read_text().partition(begin_mark)
    _, end, after = rest.partition(end_mark)
    if not begin or not end:
        raise MissingMarkersError(f"{path.name} needs the lines {begin_mark} and {end_mark}")
    path.write_text(f"{before}{begin_mark}\n{text}\n{end_mark}{after}")


def _cost(summary: Summary, costs: Mapping[str, float]) -> tuple[str, ...]:
    return (
        summary.name,
        f"{summary.cpu:.0f}",
        f"{summary.cpu_least:.0f}-{summary.cpu_most:.0f}",
        *(_ratio(summary.cpu, costs.get(name)) for name in REFERENCES),
        NOTHING if summary.store_cpu is None else f"{summary.store_cpu:.0f}",
        f"{summary.resident:.0f}",
    )


def _speed(summary: Summary) -> tuple[str, ...]:
    latency = summary.latency
    return (
        summary.name,
        f"{summary.rate:,.0f}",
        f"{summary.generator_busy:.0%}",
        *(f"{value:.2f}" for value in (latency.p50, latency.p99, latency.p999)),
        f"{latency.rate:,.0f}/s",
        str(summary.wrong),
    )


def _ratio(cost: float, reference: float | None) -> str:
    return f"{cost / reference:.2f}" if reference else NOTHING


def as_table(cells: Cells, title: str) -> Table:
    """Return a table for the terminal."""
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, column in enumerate(cells.head):
        table.add_column(column, justify="right" if number else "left")
    for row in cells.rows:
        table.add_row(*row)
    return table


def as_markdown(cells: Cells) -> str:
    """Return a table for the README."""
    rule = (":--", *("--:" for _ in cells.head[1:]))
    return "\n".join(f"| {' | '.join(row)} |" for row in (cells.head, rule, *cells.rows))
