"""The figures as tables, for the terminal and for the README."""

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
"""The stacks by whose CPU that of the others is divided."""

COST = ("cost", "CPU µs", "range", *(f"x {name}" for name in REFERENCES), "Valkey µs", "MB")
SPEED = ("speed", "messages/s", "generator", "p50 ms", "p99 ms", "p99.9 ms", "at", "wrong")
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Run:
    """One run: command, machine, day and figures."""

    command: str
    machine: Machine
    day: date
    rounds: int
    summaries: tuple[Summary, ...]

    @property
    def wrong(self) -> int:
        """The number of wrong and missing answers."""
        return sum(summary.wrong for summary in self.summaries)

    @property
    def description(self) -> str:
        """When, how and where it was measured."""
        return f"Measured {self.day.isoformat()} with `{self.command}`: {self.rounds_text}.\n{self.machine}."

    @property
    def rounds_text(self) -> str:
        """The number of rounds, as text."""
        return "one round" if self.rounds == 1 else f"medians of {self.rounds} rounds"


@dataclass(frozen=True, slots=True)
class Cells:
    """The texts of a table."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class MissingMarkersError(ValueError):
    """A file without the marker lines of a table."""


def tables(summaries: Sequence[Summary]) -> tuple[Cells, Cells]:
    """Return the tables of cost and of speed, with one row per stack."""
    costs = {summary.name: summary.cpu for summary in summaries}
    return (
        Cells(COST, tuple(_cost(summary, costs) for summary in summaries)),
        Cells(SPEED, tuple(_speed(summary) for summary in summaries)),
    )


def terminal_tables(run: Run) -> list[Table]:
    """Return the tables for the terminal."""
    return [as_table(cells, run.rounds_text) for cells in tables(run.summaries)]


def markdown(run: Run) -> str:
    """Return the tables and the description of the run, for the README."""
    return "\n\n".join([run.description, *(as_markdown(cells) for cells in tables(run.summaries))])


def write_between_markers(path: Path, text: str, begin_mark: str = BEGIN, end_mark: str = END) -> None:
    """Replace the text between the markers of a file.

    Raises:
        MissingMarkersError: if the file does not have the markers.

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
