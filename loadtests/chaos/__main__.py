"""``python -m loadtests.chaos``: inject faults under steady load, and check every answer and the journal."""

from __future__ import annotations

import asyncio
import contextlib
import platform
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from loadtests.bench.machine import this_machine
from loadtests.bench.pinning import Cores
from loadtests.bench.report import write_between_markers
from loadtests.chaos.faults import FAULTS, Scenario, UnknownFaultError, select_scenarios
from loadtests.chaos.lost_consent import LOSSES, Loss, LossResult, run_loss
from loadtests.chaos.lost_consent import table as loss_table
from loadtests.chaos.report import (
    BEGIN,
    END,
    PARTITIONS_BEGIN,
    PARTITIONS_END,
    ScenarioResult,
    markdown,
    terminal_tables,
)
from loadtests.chaos.runner import Schedule, run_scenario

SCHEDULE = Schedule()
README = Path(__file__).resolve().parents[1] / "README.md"

command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@command.command()
def chaos(
    *,
    only: Annotated[
        str, typer.Option(help="Names, comma-separated; also: singles, pairs, partitions, consent.")
    ] = "",
    rate: Annotated[float, typer.Option(min=1, max=500, help="Messages a second.")] = SCHEDULE.rate,
    seconds: Annotated[float, typer.Option(min=1, max=60, help="Duration of a fault.")] = SCHEDULE.during,
    names: Annotated[bool, typer.Option("--names", help="Only list the faults.")] = False,
    at_once: Annotated[int, typer.Option(min=1, max=8, help="Scenarios that run at the same time.")] = 2,
    keep: Annotated[Path | None, typer.Option(help="Keep logs and data below this folder.")] = None,
    write: Annotated[bool, typer.Option(help="Write the table into loadtests/README.md.")] = False,
) -> None:
    """Inject faults into Valkey, workers, replicas, Twilio's API, handlers and disks under load.

    Each scenario starts two replicas, a Valkey and an offline Twilio. Exits with 1 when a message got no
    answer, a wrong answer or two different answers, or is missing from the journal.
    """
    console = Console()
    if names:
        for fault in (*FAULTS, *LOSSES):
            console.print(f"{fault.name:<24} {fault.description}", markup=False, highlight=False)
        return
    chosen = [name.strip() for name in only.split(",") if name.strip()]
    losses = [loss for loss in LOSSES if not chosen or "consent" in chosen or loss.name in chosen]
    others = [name for name in chosen if name != "consent" and name not in {loss.name for loss in LOSSES}]
    try:
        scenarios = select_scenarios(",".join(others)) if others or not chosen else ()
    except UnknownFaultError as error:
        raise typer.BadParameter(str(error), param_hint="--only") from error
    schedule = replace(SCHEDULE, rate=rate, during=seconds)
    results = asyncio.run(_run_all(scenarios, partial(_run, schedule, keep, console), at_once))
    lost = [_run_loss(loss, keep, console) for loss in losses]
    for table in (*terminal_tables(results), *([loss_table(lost)] if lost else [])):
        console.print(table)
    failed = [result for result in results if not result.audit.passed]
    failed_losses = [result for result in lost if not result.passed]
    if failed or failed_losses:
        count = len(failed) + len(failed_losses)
        console.print(f"{count} of {len(results) + len(lost)} scenarios failed", style="bold red")
    elif results:
        console.print(
            f"all {len(results)} scenarios passed: every message answered once, and journaled", style="green"
        )
    groups = (
        ([result for result in results if not result.scenario.is_partition], BEGIN, END),
        ([result for result in results if result.scenario.is_partition], PARTITIONS_BEGIN, PARTITIONS_END),
    )
    for group, begin, end in groups if write else ():
        if group:
            write_between_markers(README, markdown(group, _measurement(group)), begin, end)
    raise typer.Exit(1 if failed or failed_losses else 0)


@contextlib.contextmanager
def _folder(name: str, keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        folder = keep.resolve() / name.replace(" ", "")
        folder.mkdir(parents=True)
        yield folder
    else:
        with TemporaryDirectory(prefix="sms-chaos-", ignore_cleanup_errors=True) as temporary:
            yield Path(temporary)


def _run_loss(loss: Loss, keep: Path | None, console: Console) -> LossResult:
    with _folder(loss.name, keep) as folder:
        result = asyncio.run(run_loss(loss, folder))
    mark, style = ("✓", "green") if result.passed else ("✗", "bold red")
    console.print(f"{mark} {loss.name:<40} {result.sent} messages", style=style)
    if result.unanswered:
        console.print(f"  {result.unanswered} messages were not answered", style="red")
    return result


async def _run_all(
    scenarios: Sequence[Scenario], run: Callable[[Scenario], Awaitable[ScenarioResult]], at_once: int
) -> list[ScenarioResult]:
    """Run scenarios, so many at the same time, and return their results in order."""
    slots = asyncio.Semaphore(at_once)

    async def run_one(scenario: Scenario) -> ScenarioResult:
        async with slots:
            return await run(scenario)

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(run_one(one)) for one in scenarios]
    return [task.result() for task in running]


async def _run(schedule: Schedule, keep: Path | None, console: Console, scenario: Scenario) -> ScenarioResult:
    with _folder(scenario.name, keep) as folder:
        result = ScenarioResult(scenario, await run_scenario(scenario, schedule, folder))
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
