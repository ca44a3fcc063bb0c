"""``python -m loadtests.profiling``: show how the CPU time of one inbound message is spent."""

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
from loadtests.bench.load import ClosedLoop, Tally
from loadtests.bench.machine import this_machine
from loadtests.bench.pinning import Cores, choose_cores, running_on
from loadtests.bench.report import write_between_markers
from loadtests.bench.router_config import write_router_config
from loadtests.bench.server import StackError, running_server, running_store
from loadtests.bench.setup import BenchSetup
from loadtests.bench.stacks import STACKS, Stack
from loadtests.bench.traffic import Webhook, make_webhooks
from loadtests.bench.usage import Usage
from loadtests.profiling.figures import Profile, make_profile, read_figures
from loadtests.profiling.instrumented import FIGURES
from loadtests.profiling.report import BEGIN, END, markdown, terminal_table
from sms_router.sandbox.hosting import free_port

README = Path(__file__).resolve().parents[1] / "README.md"
WARMUP = 500
LOAD_TIMEOUT = 30.0
"""Seconds."""

PLAIN = next(stack for stack in STACKS if stack.name == "router")
TIMED = Stack("timed", ("loadtests.profiling.instrumented",), stores=True)

command = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """CPU in microseconds per message, and the answers."""

    router: float
    store: float
    tally: Tally


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes whose CPU is read."""

    server: Usage
    store: Usage
    timed: bool

    def cpu_seconds(self) -> tuple[float, float]:
        """Return those of the router and of Valkey."""
        return self.server.cpu_seconds(), self.store.cpu_seconds()


@command.command()
def show_profile(
    *,
    messages: Annotated[int, typer.Option(min=200, max=200_000, help="How many are processes.")] = 20_000,
    connections: Annotated[int, typer.Option(min=1, max=512, help="Keep-alive connections.")] = 32,
    write: Annotated[bool, typer.Option(help="Write the table into loadtests/README.md.")] = False,
) -> None:
    """Show how the CPU time of one inbound message is spent, by stage.

    The router runs three times: unchanged, with a stopwatch at each stage, and unchanged again.
    Exits with 1 when an answer was wrong.
    """
    console = Console()
    cores = choose_cores()
    try:
        profile, faults = _measure(messages, connections, cores)
    except StackError as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from error
    if faults:
        for fault in faults:
            console.print(fault, style="red", markup=False)
        raise typer.Exit(1)
    console.print(terminal_table(profile))
    machine = this_machine(cores)
    console.print(str(machine), style="dim")
    if write:
        text = markdown(profile, machine, datetime.now(UTC).date())
        write_between_markers(README, text, BEGIN, END)


def _measure(messages: int, connections: int, cores: Cores) -> tuple[Profile, Sequence[str]]:
    with TemporaryDirectory(prefix="sms-profile-") as name:
        setup = BenchSetup(free_port(), Path(name))
        write_router_config(setup)
        signed = make_webhooks(setup, messages + WARMUP)
        before, timed, after = (
            _load(stack, setup, signed, connections, cores) for stack in (PLAIN, TIMED, PLAIN)
        )
        faults = (*before.tally.faults, *timed.tally.faults, *after.tally.faults)
        if faults:
            return Profile((), 0, 0, 0, 0), faults
        stages, cost = read_figures(setup.folder / FIGURES)
        total, store = (before.router + after.router) / 2, (before.store + after.store) / 2
        return make_profile(stages, cost, total, timed.router, store), ()


def _load(
    stack: Stack, setup: BenchSetup, signed: Sequence[Webhook], connections: int, cores: Cores
) -> LoadResult:
    with (
        running_on(cores.generator),
        running_store(stack, setup) as store,
        running_server(stack, setup, cores) as server,
    ):
        assert store is not None
        return uvloop.run(
            _deliver(setup, iter(signed), connections, Processes(server, store, stack is TIMED))
        )


async def _deliver(
    setup: BenchSetup, signed: Iterator[Webhook], connections: int, processes: Processes
) -> LoadResult:
    opened = await connect(setup.port, connections)
    try:
        await ClosedLoop(opened, islice(signed, WARMUP), LOAD_TIMEOUT).run()
        if processes.timed:
            os.kill(processes.server.pid, signal.SIGUSR1)
        before = processes.cpu_seconds()
        tally = await ClosedLoop(opened, signed, LOAD_TIMEOUT).run()
        after = processes.cpu_seconds()
    finally:
        for connection in opened:
            connection.close()
    answered = max(tally.answered, 1)
    router, valkey = (1e6 * (late - early) / answered for early, late in zip(before, after, strict=True))
    return LoadResult(router, valkey, tally)


if __name__ == "__main__":
    command()
