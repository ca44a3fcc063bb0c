"""``python -m loadtests.profiling``: show where the microseconds of one inbound message go."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from loadtests.bench.client import connect
from loadtests.bench.contestants import CONTESTANTS, Contestant
from loadtests.bench.load import ClosedLoop, Tally
from loadtests.bench.machine import this_machine
from loadtests.bench.pinning import Cores, choose_cores, running_on
from loadtests.bench.report import write_between_markers
from loadtests.bench.router_config import write_router_config
from loadtests.bench.server import ContestantError, serving, storing
from loadtests.bench.site import Site
from loadtests.bench.traffic import Webhook, webhooks
from loadtests.bench.usage import Usage
from loadtests.profiling.figures import Profile, profile_of, read_figures
from loadtests.profiling.instrumented import FIGURES
from loadtests.profiling.report import BEGIN, END, markdown, terminal_table
from sms_router.sandbox.hosting import free_port

README = Path(__file__).resolve().parents[1] / "README.md"
WARMUP = 500
LONGEST = 30.0
"""Seconds that one load may take."""

PLAIN = next(contestant for contestant in CONTESTANTS if contestant.name == "router")
TIMED = Contestant("timed", ("loadtests.profiling.instrumented",), stores=True)

command = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True)
class Used:
    """CPU in microseconds per message, and what came back."""

    router: float
    store: float
    tally: Tally


@dataclass(frozen=True, slots=True)
class Measured:
    """The processes whose CPU is read."""

    server: Usage
    store: Usage
    timed: bool

    def cpu_seconds(self) -> tuple[float, float]:
        """Return the router's and Valkey's."""
        return self.server.cpu_seconds(), self.store.cpu_seconds()


@command.command()
def profile(
    *,
    messages: Annotated[int, typer.Option(min=200, max=200_000, help="How many are measured.")] = 20_000,
    connections: Annotated[int, typer.Option(min=1, max=512, help="Keep-alive connections.")] = 32,
    write: Annotated[bool, typer.Option(help="Put the table into loadtests/README.md.")] = False,
) -> None:
    """Show where the microseconds of one inbound message go, stage by stage.

    The router runs three times: as it is, with a stopwatch at every stage, and as it is again.
    Ends with 1 when any answer was wrong.
    """
    console = Console()
    cores = choose_cores()
    try:
        taken, faults = _measure(messages, connections, cores)
    except ContestantError as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from error
    if faults:
        for fault in faults:
            console.print(fault, style="red", markup=False)
        raise typer.Exit(1)
    console.print(terminal_table(taken))
    machine = this_machine(cores)
    console.print(str(machine), style="dim")
    if write:
        text = markdown(taken, machine, datetime.now(UTC).date())
        write_between_markers(README, text, BEGIN, END)


def _measure(messages: int, connections: int, cores: Cores) -> tuple[Profile, Sequence[str]]:
    with TemporaryDirectory(prefix="sms-profile-") as name:
        site = Site(free_port(), Path(name))
        write_router_config(site)
        signed = webhooks(site, messages + WARMUP)
        before, timed, after = (
            _load(contestant, site, signed, connections, cores) for contestant in (PLAIN, TIMED, PLAIN)
        )
        faults = (*before.tally.faults, *timed.tally.faults, *after.tally.faults)
        if faults:
            return Profile((), 0, 0, 0, 0), faults
        stages, cost = read_figures(site.folder / FIGURES)
        total, store = (before.router + after.router) / 2, (before.store + after.store) / 2
        return profile_of(stages, cost, total, timed.router, store), ()


def _load(
    contestant: Contestant, site: Site, signed: Sequence[Webhook], connections: int, cores: Cores
) -> Used:
    with (
        running_on(cores.generator),
        storing(contestant, site) as store,
        serving(contestant, site, cores) as server,
    ):
        assert store is not None
        return uvloop.run(
            _deliver(site, iter(signed), connections, Measured(server, store, contestant is TIMED))
        )


async def _deliver(site: Site, signed: Iterator[Webhook], connections: int, measured: Measured) -> Used:
    opened = await connect(site.port, connections)
    try:
        await ClosedLoop(opened, islice(signed, WARMUP), LONGEST).run()
        if measured.timed:
            os.kill(measured.server.pid, signal.SIGUSR1)
        before = measured.cpu_seconds()
        tally = await ClosedLoop(opened, signed, LONGEST).run()
        after = measured.cpu_seconds()
    finally:
        for connection in opened:
            connection.close()
    answered = max(tally.answered, 1)
    router, valkey = (1e6 * (late - early) / answered for early, late in zip(before, after, strict=True))
    return Used(router, valkey, tally)


if __name__ == "__main__":
    command()
