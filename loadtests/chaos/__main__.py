"""``python -m loadtests.chaos``: break things under steady load, and see that nobody notices."""

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
from loadtests.chaos.faults import FAULTS, Scenario, UnknownFaultError, scenarios
from loadtests.chaos.play import Pace, play
from loadtests.chaos.report import BEGIN, END, Played, markdown, terminal_table

PACE = Pace()
README = Path(__file__).resolve().parents[1] / "README.md"

command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@command.command()
def chaos(
    *,
    only: Annotated[str, typer.Option(help="Names, comma-separated; also: singles, pairs.")] = "",
    rate: Annotated[float, typer.Option(min=1, max=500, help="Messages a second.")] = PACE.rate,
    seconds: Annotated[float, typer.Option(min=1, max=60, help="How long each is broken.")] = PACE.during,
    names: Annotated[bool, typer.Option("--names", help="Only list what can be broken.")] = False,
    keep: Annotated[Path | None, typer.Option(help="Keep logs and data below this folder.")] = None,
    write: Annotated[bool, typer.Option(help="Put the table into loadtests/README.md.")] = False,
) -> None:
    """Break Valkey, workers, replicas, Twilio's API, handlers and disks while people text.

    Each scenario starts two replicas, a Valkey and an offline Twilio of its own. Ends with 1 when a
    message was not answered, answered wrongly or in two ways, or is missing from the journal.
    """
    console = Console()
    if names:
        for fault in FAULTS:
            console.print(f"{fault.name:<18} {fault.does}", markup=False, highlight=False)
        return
    try:
        chosen = scenarios(only)
    except UnknownFaultError as error:
        raise typer.BadParameter(str(error), param_hint="--only") from error
    pace = replace(PACE, rate=rate, during=seconds)
    played = [_play(scenario, pace, keep, console) for scenario in chosen]
    console.print(terminal_table(played))
    broken = [each for each in played if not each.audit.good]
    if broken:
        console.print(f"{len(broken)} of {len(played)} scenarios went wrong", style="bold red")
    else:
        console.print(
            f"all {len(played)} scenarios: every message answered, once, and journaled", style="green"
        )
    if write:
        write_between_markers(README, markdown(played, _measured(played)), BEGIN, END)
    raise typer.Exit(1 if broken else 0)


def _play(scenario: Scenario, pace: Pace, keep: Path | None, console: Console) -> Played:
    if keep is not None:
        folder = keep.resolve() / scenario.name.replace(" ", "")
        folder.mkdir(parents=True)
        played = Played(scenario, asyncio.run(play(scenario, pace, folder)))
    else:
        with TemporaryDirectory(prefix="sms-chaos-", ignore_cleanup_errors=True) as name:
            played = Played(scenario, asyncio.run(play(scenario, pace, Path(name))))
    good = played.audit.good
    mark, style = ("✓", "green") if good else ("✗", "bold red")
    console.print(f"{mark} {scenario.name:<40} {played.audit.sent} messages", style=style)
    for complaint in (*played.audit.notes, *played.audit.complaints):
        console.print(f"  {complaint}", style="red", markup=False, soft_wrap=True)
    return played


def _measured(played: Sequence[Played]) -> str:
    machine = this_machine(Cores(None, None))
    sent = sum(each.audit.sent for each in played)
    return (
        f"Measured {datetime.now(UTC).date().isoformat()} with `make chaos`: {len(played)} scenarios, "
        f"{sent:,} messages.\n{machine.cpu}, {machine.cores} cores, Python {platform.python_version()}, "
        f"{machine.system}."
    )


if __name__ == "__main__":
    command()
