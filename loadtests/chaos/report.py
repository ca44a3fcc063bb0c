"""The results as a table, for the terminal and for the README."""

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
    "fault",
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
class ScenarioResult:
    """A scenario and its audit."""

    scenario: Scenario
    audit: Audit


def cells(results: Sequence[ScenarioResult]) -> Cells:
    """Return one row per scenario."""
    return Cells(HEAD, tuple((result.scenario.name, *figures(result.audit)) for result in results))


def figures(audit: Audit) -> tuple[str, ...]:
    """Return the figures in the order of the columns."""
    numbers = (
        audit.sent, audit.answered, audit.used_fallback,
        audit.unanswered, audit.wrong, audit.twice, audit.differs, audit.lost,
    )  # fmt: skip
    late = f"{audit.late.arrived}/{audit.late.expected}" + (
        f" ({audit.late.twice} twice)" if audit.late.twice else ""
    )
    return (*map(str, numbers), late, f"{audit.slowest * 1000:.0f}")


def terminal_table(results: Sequence[ScenarioResult]) -> Table:
    """Return the table for the terminal; failed scenarios are red."""
    table = Table(title="before, during and after each fault", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, column in enumerate(HEAD):
        table.add_column(column, justify="right" if number else "left")
    for result in results:
        style = "" if result.audit.passed else "bold red"
        table.add_row(result.scenario.name, *figures(result.audit), style=style)
    return table


def markdown(results: Sequence[ScenarioResult], measured: str) -> str:
    """Return the tables for the README, that of the pairs folded; ``measured`` is the sentence above them."""
    singles = [result for result in results if len(result.scenario.faults) == 1]
    pairs = [result for result in results if len(result.scenario.faults) > 1]
    parts = [measured]
    if singles:
        parts.append(as_markdown(cells(singles)))
    if pairs:
        summary = f"<summary>Pairs of faults: {len(pairs)}</summary>"
        parts.append(f"<details>\n{summary}\n\n{as_markdown(cells(pairs))}\n\n</details>")
    return "\n\n".join(parts)
