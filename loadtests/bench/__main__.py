"""``python -m loadtests.bench``: measure the contestants side by side."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from loadtests.bench import growth, rules
from loadtests.bench.contestants import Contestant, UnknownContestantError, chosen
from loadtests.bench.figures import Summary, Turn, summarise
from loadtests.bench.machine import this_machine
from loadtests.bench.pinning import Cores, choose_cores
from loadtests.bench.plan import FULL, QUICK, Plan
from loadtests.bench.report import Run, markdown, terminal_tables, write_between_markers
from loadtests.bench.router_config import write_router_config
from loadtests.bench.server import ContestantError, free_port
from loadtests.bench.site import Site
from loadtests.bench.traffic import webhooks
from loadtests.bench.turns import take_turn

README = Path(__file__).resolve().parents[1] / "README.md"
BUSY = 0.9
"""Above this share of its core the load generator is what is measured."""

MOST_FAULTS_SHOWN = 3
PAGE = 120
"""Characters a line where the output is no terminal."""

command = typer.Typer(add_completion=False)


@command.command()
def bench(
    *,
    only: Annotated[str, typer.Option(help="Measure these alone, comma-separated.")] = "",
    rounds: Annotated[int | None, typer.Option(min=1, max=20, help="How often each has its turn.")] = None,
    messages: Annotated[
        int | None, typer.Option(min=100, max=200_000, help="At most so many in each load of a turn.")
    ] = None,
    connections: Annotated[int | None, typer.Option(min=1, max=512, help="Keep-alive connections.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A rough look in about half a minute.")] = False,
    write: Annotated[bool, typer.Option(help="Put the table into loadtests/README.md.")] = True,
) -> None:
    """Measure the router beside the programs that people would otherwise write.

    Ends with 1 when any answer was wrong, and then leaves the README alone.
    """
    console = Console(width=None if sys.stdout.isatty() else PAGE)
    plan = _plan(quick, rounds, messages, connections)
    cores = choose_cores()
    try:
        summaries = _measure(_present(chosen(only), console), plan, cores, console)
    except UnknownContestantError as error:
        raise typer.BadParameter(str(error), param_hint="--only") from error
    except ContestantError as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from error
    run = Run(_command_line(), this_machine(cores), datetime.now(UTC).date(), plan.rounds, summaries)
    _show(run, console)
    if run.wrong:
        raise typer.Exit(1)
    grown = growth.measure()
    console.print(growth.show(grown))
    ruled = rules.measure()
    console.print(rules.show(ruled))
    if write:
        write_between_markers(README, markdown(run))
        growth.write(grown, run.day)
        rules.write(ruled, run.day)


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


def _measure(
    contestants: Sequence[Contestant], plan: Plan, cores: Cores, console: Console
) -> tuple[Summary, ...]:
    turns: dict[str, list[Turn]] = {contestant.name: [] for contestant in contestants}
    with TemporaryDirectory(prefix="sms-bench-") as folder, _progress(console) as progress:
        site = Site(free_port(), Path(folder))
        task = progress.add_task("signing the messages", total=plan.rounds * len(contestants))
        progress.refresh()
        write_router_config(site)
        messages = webhooks(site, plan.webhooks)
        for number in range(1, plan.rounds + 1):
            for contestant in contestants:
                progress.update(task, description=f"round {number}: {contestant.name}", refresh=True)
                turns[contestant.name].append(take_turn(contestant, site, messages, plan, cores))
                progress.update(task, advance=1, refresh=True)
    return tuple(summarise(name, taken) for name, taken in turns.items())


def _progress(console: Console) -> Progress:
    """Return a display that is drawn between the turns only: drawing costs the load generator's core."""
    return Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        auto_refresh=False,
        transient=True,
    )


def _show(run: Run, console: Console) -> None:
    for table in terminal_tables(run):
        console.print(table)
    console.print(str(run.machine), style="dim")
    for summary in run.summaries:
        for fault in summary.faults[:MOST_FAULTS_SHOWN]:
            console.print(f"{summary.name}: {fault}", style="red", markup=False)
        if summary.generator_busy > BUSY:
            console.print(
                f"{summary.name}: the load generator was busy; it could answer more than this", style="yellow"
            )


def _command_line() -> str:
    return shlex.join(["python", "-m", "loadtests.bench", *sys.argv[1:]])


if __name__ == "__main__":
    command()
