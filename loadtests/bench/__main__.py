"""``python -m loadtests.bench``: measure the router beside other stacks, and how its cost grows."""

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

from loadtests.bench import charts, comparison, conditions, rules, senders, slow_upstream, soak
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
from loadtests.bench.server import StackError
from loadtests.bench.stacks import Stack, UnknownStackError, select_stacks

README = Path(__file__).resolve().parents[1] / "README.md"
BUSY = 0.9
"""Above this share of its core the load generator limits the throughput."""

MAX_FAULTS_SHOWN = 3
LINE_WIDTH = 120
"""Characters, if the output is not a terminal."""

command = typer.Typer(add_completion=False)


class Part(StrEnum):
    """What can be measured alone."""

    OTHERS = "others"
    CONDITIONS = "conditions"
    UPSTREAM = "upstream"
    SENDERS = "senders"
    RULES = "rules"


@dataclass(slots=True)
class Bench:
    """One run: its parameters, and the figures so far."""

    plan: Plan
    quick: bool
    cores: Cores
    console: Console
    folder: Path
    day: date
    others: tuple[Summary, ...] = ()
    conditions: tuple[Summary, ...] = ()
    upstream: tuple[slow_upstream.UpstreamFigures, ...] = ()
    sender_figures: tuple[senders.SenderFigures, ...] = ()
    rule_figures: tuple[rules.RuleFigures, ...] = ()
    memory: tuple[soak.MemorySample, ...] = ()

    @property
    def rounds(self) -> int:
        """How often each size is measured, in the parts without a server."""
        return 3 if self.quick else senders.ROUNDS

    def run(self, summaries: tuple[Summary, ...]) -> Run:
        """Return the figures with the parameters of the run."""
        command_line = shlex.join(["python", "-m", "loadtests.bench", *sys.argv[1:]])
        return Run(command_line, this_machine(self.cores), self.day, self.plan.rounds, summaries)

    def measure_others(self, stacks: Sequence[Stack]) -> None:
        """Measure the stacks."""
        with steps(self.console, comparison.count_steps(stacks, self.plan)) as step:
            self.others = comparison.measure(stacks, self.plan, self.cores, self.folder, step)
        for table in terminal_tables(self.run(self.others)):
            self.console.print(table)
        self._show_warnings(self.others)

    def measure_conditions(self) -> None:
        """Measure the router under other conditions."""
        with steps(self.console, conditions.count_steps(self.plan)) as step:
            self.conditions = conditions.measure(self.plan, self.cores, self.folder, step)
        self._show(conditions.cells(self.conditions), "the router under other conditions")
        self._show_warnings(self.conditions)

    def measure_upstream(self) -> None:
        """Measure messages to keywords while an upstream is slow."""
        with steps(self.console, slow_upstream.count_steps(self.plan)) as step:
            self.upstream = slow_upstream.measure(self.plan, self.cores, self.folder, step)
        self._show(slow_upstream.cells(self.upstream), "other messages while an upstream is slow")
        for figures in self.upstream:
            self._show_faults(figures.response, figures.faults)

    def measure_senders(self) -> None:
        """Measure the selection in Sender Pools of several sizes."""
        self.console.print("senders", highlight=False)
        self.sender_figures = senders.measure(rounds=self.rounds)
        self.console.print(senders.show(self.sender_figures, self.rounds))

    def measure_rules(self) -> None:
        """Measure the lookup among several numbers of rules."""
        self.console.print("rules", highlight=False)
        self.rule_figures = rules.measure(rounds=self.rounds)
        self.console.print(rules.show(self.rule_figures, self.rounds))

    def measure_memory(self, messages: int) -> None:
        """Send many messages, and show the memory."""
        with steps(self.console, soak.STEPS) as step:
            self.memory = soak.measure(messages, self.plan.connections, self.cores, self.folder, step)
        self._show(soak.cells(self.memory), "memory of one worker")
        for sample in self.memory:
            self._show_faults(f"{sample.messages:,} messages", sample.faults)

    @property
    def wrong(self) -> int:
        """How many answers were wrong or missing."""
        soaked = self.memory[-1].wrong if self.memory else 0
        measured = sum(summary.wrong for summary in (*self.others, *self.conditions))
        return soaked + measured + sum(figures.wrong for figures in self.upstream)

    def write(self) -> None:
        """Write the tables into the README, and the charts beside it."""
        description = self.run(()).description
        chart_text = description.replace("`", "")
        if self.others:
            write_between_markers(README, markdown(self.run(self.others)))
            charts.COST.write_text(charts.cost_chart(self.others, chart_text))
        if self.conditions:
            self._write_table(
                conditions.cells(self.conditions), description, conditions.BEGIN, conditions.END
            )
        if self.upstream:
            self._write_table(
                slow_upstream.cells(self.upstream), description, slow_upstream.BEGIN, slow_upstream.END
            )
        if self.memory:
            description = description.replace(self.run(()).rounds_text, "one worker")
            self._write_table(soak.cells(self.memory), description, soak.BEGIN, soak.END)
        if self.sender_figures:
            senders.write(self.sender_figures, self.day, self.rounds)
        if self.rule_figures:
            rules.write(self.rule_figures, self.day, self.rounds)
        if self.sender_figures and self.rule_figures and self.conditions and self.upstream:
            chart = charts.growth_chart(
                self.sender_figures, self.rule_figures, self.conditions, self.upstream, chart_text
            )
            charts.GROWTH.write_text(chart)

    def _write_table(self, cells: Cells, description: str, begin: str, end: str) -> None:
        write_between_markers(README, f"{description}\n\n{as_markdown(cells)}", begin, end)

    def _show(self, cells: Cells, title: str) -> None:
        self.console.print(as_table(cells, title))

    def _show_warnings(self, summaries: Sequence[Summary]) -> None:
        for summary in summaries:
            self._show_faults(summary.name, summary.faults)
            if summary.generator_busy > BUSY:
                sentence = f"{summary.name}: the load generator was the limit; the server could answer more"
                self.console.print(sentence, style="yellow")

    def _show_faults(self, name: str, faults: Sequence[str]) -> None:
        for fault in faults[:MAX_FAULTS_SHOWN]:
            self.console.print(f"{name}: {fault}", style="red", markup=False)


@command.command()
def bench(
    *,
    only: Annotated[str, typer.Option(help="Measure these stacks only, comma-separated.")] = "",
    part: Annotated[list[Part] | None, typer.Option(help="Measure this part only; may be repeated.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, max=20, help="How often each is measured.")] = None,
    messages: Annotated[
        int | None, typer.Option(min=100, max=200_000, help="At most, in each load of a measurement.")
    ] = None,
    connections: Annotated[int | None, typer.Option(min=1, max=512, help="Keep-alive connections.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Rough figures in about two minutes.")] = False,
    soaked: Annotated[
        int | None,
        typer.Option(
            "--soak", min=soak.STEPS, max=10_000_000, help="Send so many messages and measure only memory."
        ),
    ] = None,
    write: Annotated[bool, typer.Option(help="Write tables and charts into loadtests/.")] = True,
) -> None:
    """Measure the router beside other stacks, and how its cost grows.

    Exits with 1 when an answer was wrong, and then does not change the README.
    """
    console = Console(width=None if sys.stdout.isatty() else LINE_WIDTH)
    try:
        stacks = _runnable(select_stacks(only), console)
    except UnknownStackError as error:
        raise typer.BadParameter(str(error), param_hint="--only") from error
    plan = _plan(quick, rounds, messages, connections)
    parts = part or ([Part.OTHERS] if only else list(Part))
    with TemporaryDirectory(prefix="sms-bench-") as folder:
        bench_run = Bench(plan, quick, choose_cores(), console, Path(folder), datetime.now(UTC).date())
        console.print(str(this_machine(bench_run.cores)), style="dim")
        try:
            _measure(bench_run, [] if soaked else parts, stacks, soaked)
        except StackError as error:
            console.print(str(error), style="red", markup=False)
            raise typer.Exit(1) from error
    if bench_run.wrong:
        raise typer.Exit(1)
    if write:
        bench_run.write()


def _measure(bench_run: Bench, parts: Sequence[Part], stacks: Sequence[Stack], soaked: int | None) -> None:
    if Part.OTHERS in parts and stacks:
        bench_run.measure_others(stacks)
    if Part.CONDITIONS in parts:
        bench_run.measure_conditions()
    if Part.UPSTREAM in parts:
        bench_run.measure_upstream()
    if Part.SENDERS in parts:
        bench_run.measure_senders()
    if Part.RULES in parts:
        bench_run.measure_rules()
    if soaked:
        bench_run.measure_memory(soaked)


def _runnable(stacks: Sequence[Stack], console: Console) -> list[Stack]:
    """Return the stacks that this machine can run, and print why the others are left out."""
    for sentence in filter(None, (stack.missing() for stack in stacks)):
        console.print(sentence, style="yellow", markup=False)
    return [stack for stack in stacks if not stack.missing()]


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
