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
PARTITIONS_BEGIN = "<!-- partitions:begin -->"
PARTITIONS_END = "<!-- partitions:end -->"
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


PARTITION_HEAD = (
    "fault",
    "sent",
    "in 15 s",
    "wrong",
    "ran again",
    "two answers (recorded)",
    "STOPs lost",
    "late 0/1/2 times",
    "lost",
    "max ms",
    "recovery s",
    "false log lines",
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


def partition_cells(results: Sequence[ScenarioResult]) -> Cells:
    """Return one row per scenario with a fault of the network."""
    return Cells(
        PARTITION_HEAD, tuple((result.scenario.name, *partition_figures(result.audit)) for result in results)
    )


def partition_figures(audit: Audit) -> tuple[str, ...]:
    """Return the figures in the order of the columns of `PARTITION_HEAD`."""
    assert audit.partition is not None
    more, late = audit.partition, audit.late
    return (
        str(audit.sent), str(audit.answered), str(audit.wrong), str(len(more.run_again)),
        f"{audit.twice + more.second_answers} ({more.second_answers})",
        f"{len(more.stops_lost)}/{more.stops}",
        f"{late.missing}/{late.arrived - late.twice}/{late.twice}", str(audit.lost + audit.differs),
        f"{audit.slowest * 1000:.0f}", f"{more.recovery:.1f}", str(len(more.false_log_lines)),
    )  # fmt: skip


def terminal_tables(results: Sequence[ScenarioResult]) -> list[Table]:
    """Return the tables for the terminal; failed scenarios are red."""
    partitions = [result for result in results if result.scenario.is_partition]
    others = [result for result in results if not result.scenario.is_partition]
    tables = []
    for group, texts in ((others, cells(others)), (partitions, partition_cells(partitions))):
        table = Table(title="before, during and after each fault", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for number, column in enumerate(texts.head):
            table.add_column(column, justify="right" if number else "left")
        for result, row in zip(group, texts.rows, strict=True):
            table.add_row(*row, style="" if result.audit.passed else "bold red")
        if group:
            tables.append(table)
    return tables


def markdown(results: Sequence[ScenarioResult], measured: str) -> str:
    """Return the tables for the README, that of the pairs folded; ``measured`` is the sentence above them."""
    singles = [result for result in results if len(result.scenario.faults) == 1]
    pairs = [result for result in results if len(result.scenario.faults) > 1]
    parts = [measured]
    if all(result.scenario.is_partition for result in results):
        return f"{measured}\n\n{as_markdown(partition_cells(results))}"
    if singles:
        parts.append(as_markdown(cells(singles)))
    if pairs:
        summary = f"<summary>Pairs of faults: {len(pairs)}</summary>"
        parts.append(f"<details>\n{summary}\n\n{as_markdown(cells(pairs))}\n\n</details>")
    return "\n\n".join(parts)
