"""The profile as a table, for the terminal and for the README."""

from __future__ import annotations

from datetime import date

from rich.box import SIMPLE_HEAD
from rich.table import Table

from loadtests.bench.machine import Machine
from loadtests.bench.report import Cells, as_markdown
from loadtests.profiling.figures import Profile

BEGIN = "<!-- profile:begin -->"
END = "<!-- profile:end -->"
HEAD = ("stage", "µs", "share", "calls")
BAR = 30


def terminal_table(profile: Profile) -> Table:
    """Return the table for the terminal, with a bar for each stage."""
    table = Table(title=_title(profile), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, column in enumerate(HEAD):
        table.add_column(column, justify="right" if number else "left")
    table.add_column("")
    longest = max(row.microseconds for row in profile.rows)
    for row, cells in zip(profile.rows, _cells(profile).rows, strict=False):
        table.add_row(*cells, "█" * round(BAR * row.microseconds / longest), style="")
    table.add_section()
    for cells in _cells(profile).rows[len(profile.rows) :]:
        table.add_row(*cells, "")
    return table


def markdown(profile: Profile, machine: Machine, day: date) -> str:
    """Return the table, and the sentence above it."""
    measured = f"Measured {day.isoformat()} over {profile.messages:,} messages.\n{machine}."
    return f"{measured}\n\n{as_markdown(_cells(profile))}"


def _title(profile: Profile) -> str:
    return f"time of each stage without nested stages, over {profile.messages:,} messages"


def _cells(profile: Profile) -> Cells:
    stages = (
        (row.name, f"{row.microseconds:.1f}", f"{profile.share(row):.0%}", f"{row.calls:.2f}")
        for row in profile.rows
    )
    whole = (
        ("the router", f"{profile.total:.0f}", "100%", ""),
        ("the router, with stopwatch", f"{profile.timed_total:.0f}", "", ""),
        ("Valkey", f"{profile.store:.0f}", "", ""),
    )
    return Cells(HEAD, (*stages, *whole))
