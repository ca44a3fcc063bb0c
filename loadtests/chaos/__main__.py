"""``python -m loadtests.chaos``: inject faults under steady load, and check every answer and the journal."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from loadtests.bench.machine import this_machine
from loadtests.bench.pinning import Cores
from loadtests.bench.report import write_between_markers
from loadtests.chaos.faults import FAULTS, Scenario, UnknownFaultError, select_scenarios
from loadtests.chaos.report import BEGIN, END, ScenarioResult, markdown, terminal_tables
from loadtests.chaos.runner import Schedule, run_scenario

SCHEDULE = Schedule()
README = Path(__file__).resolve().parents[1] / "README.md"

command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@command.command()
def chaos(
    *,
    only: Annotated[str, typer.Option(help="Names, comma-separated; also: singles, pairs, partitions.")] = "",
    rate: Annotated[float, typer.Option(min=1, max=500, help="Messages a second.")] = SCHEDULE.rate,
    seconds: Annotated[float, typer.Option(min=1, max=60, help="Duration of a fault.")] = SCHEDULE.during,
    names: Annotated[bool, typer.Option("--names", help="Only list the faults.")] = False,
    keep: Annotated[Path | None, typer.Option(help="Keep logs and data below this folder.")] = None,
    write: Annotated[bool, typer.Option(help="Write the table into loadtests/README.md.")] = False,
) -> None:
    """Inject faults into Valkey, workers, replicas, Twilio's API, handlers and disks under load.

    Each scenario starts two replicas, a Valkey and an offline Twilio. Exits with 1 when a message got no
    answer, a wrong answer or two different answers, or is missing from the journal.
    """
    console = Console()
    if names:
        for fault in FAULTS:
            console.print(f"{fault.name:<24} {fault.description}", markup=False, highlight=False)
        return
    try:
        scenarios = select_scenarios(only)
    except UnknownFaultError as error:
        raise typer.BadParameter(str(error), param_hint="--only") from error
    schedule = replace(SCHEDULE, rate=rate, during=seconds)
    results = [_run(scenario, schedule, keep, console) for scenario in scenarios]
    for table in terminal_tables(results):
        console.print(table)
    failed = [result for result in results if not result.audit.passed]
    if failed:
        console.print(f"{len(failed)} of {len(results)} scenarios failed", style="bold red")
    else:
        console.print(
            f"all {len(results)} scenarios passed: every message answered once, and journaled", style="green"
        )
    if write:
        write_between_markers(README, markdown(results, _measurement(results)), BEGIN, END)
    raise typer.Exit(1 if failed else 0)


def _run(scenario: Scenario, schedule: Schedule, keep: Path | None, console: Console) -> ScenarioResult:
    if keep is not None:
        folder = keep.resolve() / scenario.name.replace(" ", "")
        folder.mkdir(parents=True)
        result = ScenarioResult(scenario, asyncio.run(run_scenario(scenario, schedule, folder)))
    else:
        with TemporaryDirectory(prefix="sms-chaos-", ignore_cleanup_errors=True) as name:
            result = ScenarioResult(scenario, asyncio.run(run_scenario(scenario, schedule, Path(name))))
    audit = result.audit
    mark, style = ("✓", "green") if audit.passed else ("✗", "bold red")
    console.print(f"{mark} {scenario.name:<40} {audit.sent} messages", style=style)
    more = audit.partition.errors if audit.partition is not None else ()
    late = [f"late replies: {audit.late}"] if audit.late.missing or audit.late.twice else []
    for sentence in (*audit.deployment_errors, *audit.errors, *late, *more):
        console.print(f"  {sentence}", style="red", markup=False, soft_wrap=True)
    return result


def _measurement(results: Sequence[ScenarioResult]) -> str:
    machine = this_machine(Cores(None, None))
    sent = sum(result.audit.sent for result in results)
    return (
        f"Measured {datetime.now(UTC).date().isoformat()} with `make chaos`: {len(results)} scenarios, "
        f"{sent:,} messages.\n{machine.cpu}, {machine.cores} cores, Python {platform.python_version()}, "
        f"{machine.system}."
    )


if __name__ == "__main__":
    command()
