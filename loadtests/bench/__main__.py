"""``python -m loadtests.bench``: measure the contestants side by side, and how the router's cost grows."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from loadtests.bench import charts, conditions, contest, growth, rules, slow_upstream, soak
from loadtests.bench.contestants import Contestant, UnknownContestantError, chosen
from loadtests.bench.figures import Summary
from loadtests.bench.machine import this_machine
from loadtests.bench.pinning import Cores, choose_cores
from loadtests.bench.plan import FULL, QUICK, Plan
from loadtests.bench.progress import steps
from loadtests.bench.report import (
    Cells,
    Run,
    as_markdown,
    as_table,
    markdown,
    terminal_tables,
    write_between_markers,
)
from loadtests.bench.server import ContestantError

README = Path(__file__).resolve().parents[1] / "README.md"
BUSY = 0.9
"""Above this share of its core the load generator is what is measured."""

MOST_FAULTS_SHOWN = 3
PAGE = 120
"""Characters a line where the output is no terminal."""

command = typer.Typer(add_completion=False)


class Part(StrEnum):
    """What can be measured by itself."""

    OTHERS = "others"
    CONDITIONS = "conditions"
    UPSTREAM = "upstream"
    SENDERS = "senders"
    RULES = "rules"


@dataclass(slots=True)
class Bench:
    """One run: what it is measured with, and what came out so far."""

    plan: Plan
    quick: bool
    cores: Cores
    console: Console
    folder: Path
    day: date
    others: tuple[Summary, ...] = ()
    conditions: tuple[Summary, ...] = ()
    upstream: tuple[slow_upstream.Beside, ...] = ()
    senders: tuple[growth.Growth, ...] = ()
    rules: tuple[rules.RulesGrowth, ...] = ()
    held: tuple[soak.Held, ...] = ()

    @property
    def rounds(self) -> int:
        """How often each size is measured, where that takes no turn of a server."""
        return 3 if self.quick else growth.ROUNDS

    def run(self, summaries: tuple[Summary, ...]) -> Run:
        """Return figures with what they were measured with."""
        asked = shlex.join(["python", "-m", "loadtests.bench", *sys.argv[1:]])
        return Run(asked, this_machine(self.cores), self.day, self.plan.rounds, summaries)

    def measure_others(self, contestants: Sequence[Contestant]) -> None:
        """Measure the contestants, and show them."""
        with steps(self.console, contest.turns_of(contestants, self.plan)) as step:
            self.others = contest.measure(contestants, self.plan, self.cores, self.folder, step)
        for table in terminal_tables(self.run(self.others)):
            self.console.print(table)
        self._tell(self.others)

    def measure_conditions(self) -> None:
        """Measure the router under other conditions, and show it."""
        with steps(self.console, conditions.turns_of(self.plan)) as step:
            self.conditions = conditions.measure(self.plan, self.cores, self.folder, step)
        self._show(conditions.cells(self.conditions), "the router when life around it changes")
        self._tell(self.conditions)

    def measure_upstream(self) -> None:
        """Measure other texts beside a slow upstream, and show them."""
        with steps(self.console, slow_upstream.turns_of(self.plan)) as step:
            self.upstream = slow_upstream.measure(self.plan, self.cores, self.folder, step)
        self._show(slow_upstream.cells(self.upstream), "other texts while an upstream is slow")
        for each in self.upstream:
            self._tell_faults(each.way, each.faults)

    def measure_senders(self) -> None:
        """Measure pools that grow, and show them."""
        self.console.print("senders", highlight=False)
        self.senders = growth.measure(rounds=self.rounds)
        self.console.print(growth.show(self.senders, self.rounds))

    def measure_rules(self) -> None:
        """Measure rules that grow, and show them."""
        self.console.print("rules", highlight=False)
        self.rules = rules.measure(rounds=self.rounds)
        self.console.print(rules.show(self.rules, self.rounds))

    def measure_memory(self, messages: int) -> None:
        """Send many messages, and show what was held meanwhile."""
        with steps(self.console, soak.STEPS) as step:
            self.held = soak.measure(messages, self.plan.connections, self.cores, self.folder, step)
        self._show(soak.cells(self.held), "one worker's memory")
        for each in self.held:
            self._tell_faults(f"{each.messages:,} messages", each.faults)

    @property
    def wrong(self) -> int:
        """How many answers were wrong or missing."""
        held = self.held[-1].wrong if self.held else 0
        turns = sum(summary.wrong for summary in (*self.others, *self.conditions))
        return held + turns + sum(beside.wrong for beside in self.upstream)

    def write(self) -> None:
        """Put into the README, and beside it, whatever has been measured."""
        told = self.run(()).told
        charted = told.replace("`", "")
        if self.others:
            write_between_markers(README, markdown(self.run(self.others)))
            charts.COST.write_text(charts.cost_chart(self.others, charted))
        if self.conditions:
            self._put(conditions.cells(self.conditions), told, conditions.BEGIN, conditions.END)
        if self.upstream:
            self._put(slow_upstream.cells(self.upstream), told, slow_upstream.BEGIN, slow_upstream.END)
        if self.held:
            told = told.replace(self.run(()).rounds_told, "one worker")
            self._put(soak.cells(self.held), told, soak.BEGIN, soak.END)
        if self.senders:
            growth.write(self.senders, self.day, self.rounds)
        if self.rules:
            rules.write(self.rules, self.day, self.rounds)
        if self.senders and self.rules and self.conditions and self.upstream:
            drawn = charts.growth_chart(self.senders, self.rules, self.conditions, self.upstream, charted)
            charts.GROWTH.write_text(drawn)

    def _put(self, cells: Cells, told: str, begin: str, end: str) -> None:
        write_between_markers(README, f"{told}\n\n{as_markdown(cells)}", begin, end)

    def _show(self, cells: Cells, title: str) -> None:
        self.console.print(as_table(cells, title))

    def _tell(self, summaries: Sequence[Summary]) -> None:
        for summary in summaries:
            self._tell_faults(summary.name, summary.faults)
            if summary.generator_busy > BUSY:
                sentence = f"{summary.name}: the load generator was busy; it could answer more than this"
                self.console.print(sentence, style="yellow")

    def _tell_faults(self, name: str, faults: Sequence[str]) -> None:
        for fault in faults[:MOST_FAULTS_SHOWN]:
            self.console.print(f"{name}: {fault}", style="red", markup=False)


@command.command()
def bench(
    *,
    only: Annotated[str, typer.Option(help="Of the contestants, measure these alone, comma-separated.")] = "",
    part: Annotated[list[Part] | None, typer.Option(help="Measure this part alone; may be repeated.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, max=20, help="How often each has its turn.")] = None,
    messages: Annotated[
        int | None, typer.Option(min=100, max=200_000, help="At most so many in each load of a turn.")
    ] = None,
    connections: Annotated[int | None, typer.Option(min=1, max=512, help="Keep-alive connections.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A rough look in about two minutes.")] = False,
    soaked: Annotated[
        int | None,
        typer.Option(
            "--soak", min=soak.STEPS, max=10_000_000, help="Send so many and watch the memory alone."
        ),
    ] = None,
    write: Annotated[bool, typer.Option(help="Put tables and charts into loadtests/.")] = True,
) -> None:
    """Measure the router beside the programs that people would otherwise write, and how its cost grows.

    Ends with 1 when any answer was wrong, and then leaves the README alone.
    """
    console = Console(width=None if sys.stdout.isatty() else PAGE)
    try:
        contestants = _present(chosen(only), console)
    except UnknownContestantError as error:
        raise typer.BadParameter(str(error), param_hint="--only") from error
    plan = _plan(quick, rounds, messages, connections)
    parts = part or ([Part.OTHERS] if only else list(Part))
    with TemporaryDirectory(prefix="sms-bench-") as folder:
        taken = Bench(plan, quick, choose_cores(), console, Path(folder), datetime.now(UTC).date())
        console.print(str(this_machine(taken.cores)), style="dim")
        try:
            _measure(taken, [] if soaked else parts, contestants, soaked)
        except ContestantError as error:
            console.print(str(error), style="red", markup=False)
            raise typer.Exit(1) from error
    if taken.wrong:
        raise typer.Exit(1)
    if write:
        taken.write()


def _measure(
    taken: Bench, parts: Sequence[Part], contestants: Sequence[Contestant], soaked: int | None
) -> None:
    if Part.OTHERS in parts and contestants:
        taken.measure_others(contestants)
    if Part.CONDITIONS in parts:
        taken.measure_conditions()
    if Part.UPSTREAM in parts:
        taken.measure_upstream()
    if Part.SENDERS in parts:
        taken.measure_senders()
    if Part.RULES in parts:
        taken.measure_rules()
    if soaked:
        taken.measure_memory(soaked)


def _present(contestants: Sequence[Contestant], console: Console) -> list[Contestant]:
    """Return those that this machine can run, and say why the others are not among them."""
    for sentence in filter(None, (contestant.missing() for contestant in contestants)):
        console.print(sentence, style="yellow", markup=False)
    return [contestant for contestant in contestants if not contestant.missing()]


def _plan(quick: bool, rounds: int | None, messages: int | None, connections: int | None) -> Plan:
    plan = QUICK if quick else FULL
    return replace(
        plan,
        rounds=rounds or plan.rounds,
        messages=messages or plan.messages,
        connections=connections or plan.connections,
    )


if __name__ == "__main__":
    command()
