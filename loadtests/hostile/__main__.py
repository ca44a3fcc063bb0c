"""``python -m loadtests.hostile``: the cost of forged requests and hostile connections, and their limits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import redis
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from loadtests.bench.answers import Answer
from loadtests.bench.client import Connection, connect
from loadtests.bench.load import ClosedLoop
from loadtests.bench.machine import this_machine
from loadtests.bench.pinning import choose_cores, running_on
from loadtests.bench.router_config import write_router_config
from loadtests.bench.server import running_server, running_store
from loadtests.bench.setup import BenchSetup
from loadtests.bench.stacks import STACKS
from loadtests.bench.traffic import Webhook
from loadtests.bench.usage import Usage
from loadtests.hostile.connections import KINDS, hostile_connections, time_messages
from loadtests.hostile.forgeries import FORGERIES, sign_messages
from sms_router.sandbox.hosting import free_port

ROUTER = next(stack for stack in STACKS if stack.name == "router")
CONNECTIONS = 32
LOAD_TIMEOUT = 600.0
MEMORY_SAMPLES = 5
SECONDS = 15.0
"""That hostile connections are held open: the router's timeouts are shorter."""

command = typer.Typer(add_completion=False)
out = Console()


class RefusedConnection(Connection):
    """A connection whose requests must be refused."""

    def _find_fault(self, answer: Answer) -> str | None:
        return None if answer.status in (b"403", b"400") and not answer.body else f"{answer.head[:40]!r}"


@command.command()
def hostile(
    *,
    requests: Annotated[int, typer.Option(min=0, help="Forgeries of each kind.")] = 2_000,
    contacts: Annotated[int, typer.Option(min=0, help="Contacts that send one message each.")] = 50_000,
    connections: Annotated[int, typer.Option(min=0, help="Hostile connections, of ten kinds.")] = 4_000,
) -> None:
    """Send forged requests, messages of many contacts, and messages among hostile connections.

    Exits with 1 when a forgery was accepted or stored anything in Redis, or a message was not answered.
    """
    cores = choose_cores()
    with TemporaryDirectory(prefix="sms-hostile-") as name, running_on(cores.generator):
        setup = BenchSetup(free_port(), Path(name))
        write_router_config(setup)
        with running_store(ROUTER, setup), running_server(ROUTER, setup, cores) as usage:
            faults = uvloop.run(_run(setup, usage, requests, contacts, connections))
    out.print(str(this_machine(cores)), style="dim")
    for fault in faults:
        out.print(fault, style="red", markup=False)
    if faults:
        raise typer.Exit(1)


async def _run(setup: BenchSetup, usage: Usage, requests: int, contacts: int, connections: int) -> list[str]:
    messages = sign_messages(setup)
    faults = [] if not requests else await _forge(setup, usage, messages, requests)
    if contacts:
        faults += await _measure_memory(setup, usage, messages, contacts)
    if connections:
        faults += await _open_hostile_connections(setup, usage, messages, connections)
    return faults


async def _forge(setup: BenchSetup, usage: Usage, messages: Iterator[Webhook], requests: int) -> list[str]:
    table = Table("request", "CPU µs", "x a message", "kB", "keys in Redis")
    await _cost(setup, usage, Connection, list(islice(messages, 500)))
    message_cost, faults = await _cost(setup, usage, Connection, list(islice(messages, requests)))
    table.add_row("a message, answered", f"{message_cost:.0f}", "1.00", "0.9", "")
    for kind, forge in FORGERIES.items():
        before = _count_keys(setup)
        forged = [Webhook(forge(setup), b"") for _ in range(requests)]
        cost, wrong = await _cost(setup, usage, RefusedConnection, forged)
        faults += [f"{kind}: {fault}" for fault in wrong]
        if grown := _count_keys(setup) - before:
            faults.append(f"{kind}: {grown} keys in Redis")
        size = len(forged[0].wire) / 1000
        ratio = f"{cost / message_cost:.2f}" if message_cost else "-"  # the kernel counts in steps of 10 ms
        table.add_row(kind, f"{cost:.0f}", ratio, f"{size:.1f}", f"+{grown}")
    out.print(table)
    return faults


async def _cost(
    setup: BenchSetup, usage: Usage, kind: type[Connection], requests: Sequence[Webhook]
) -> tuple[float, list[str]]:
    """Return the microseconds of CPU per request, and the faults."""
    opened = [await _connect(setup, kind) for _ in range(CONNECTIONS)]
    before = usage.cpu_seconds()
    tally = await ClosedLoop(opened, iter(requests), LOAD_TIMEOUT).run()
    used = usage.cpu_seconds() - before
    for connection in opened:
        connection.close()
    return 1e6 * used / max(tally.answered, 1), tally.faults


async def _connect(setup: BenchSetup, kind: type[Connection]) -> Connection:
    if kind is Connection:
        return (await connect(setup.port, 1))[0]
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(kind, "127.0.0.1", setup.port))[1]


async def _measure_memory(
    setup: BenchSetup, usage: Usage, messages: Iterator[Webhook], contacts: int
) -> list[str]:
    """Send one message of each contact, and measure the worker's memory."""
    table = Table("contacts", "MB of the worker")
    faults: list[str] = []
    for sample in range(1, MEMORY_SAMPLES + 1):
        connections = await connect(setup.port, CONNECTIONS)
        tally = await ClosedLoop(
            connections, islice(messages, contacts // MEMORY_SAMPLES), LOAD_TIMEOUT
        ).run()
        faults += tally.faults
        for connection in connections:
            connection.close()
        table.add_row(f"{sample * (contacts // MEMORY_SAMPLES):,}", f"{usage.resident_bytes() / 1e6:.1f}")
    out.print(table)
    return faults


async def _open_hostile_connections(
    setup: BenchSetup, usage: Usage, messages: Iterator[Webhook], count: int
) -> list[str]:
    """Hold connections of each kind open by itself, then of all kinds, and send messages meanwhile."""
    table = Table("connections", "CPU µs of each", "MB before", "MB at most", "slowest message, ms")
    faults: list[str] = []
    message_cost = 0.0
    runs = [("none", list(KINDS.values()), 0), *((name, [kind], count // 10) for name, kind in KINDS.items())]
    for name, kinds, number in [*runs, ("all ten kinds", list(KINDS.values()), count)]:
        most = before = usage.worker_bytes() / 1e6
        idle_cpu = await _cpu_of(usage, 2.0) / 2.0
        spent = usage.cpu_seconds()
        with hostile_connections(setup.port, kinds, number) as opened:
            sending = asyncio.create_task(time_messages(setup.port, messages, SECONDS))
            while not sending.done():
                most = max(most, usage.worker_bytes() / 1e6)
                await asyncio.sleep(0.05)
            times, unanswered = await sending
            spent = usage.cpu_seconds() - spent - idle_cpu * SECONDS
            if not number:
                message_cost = spent / len(times)
            each = (spent - len(times) * message_cost) / opened() if number else 0.0
            figures = (
                f"{1e6 * each:.0f}",
                f"{before:.1f}",
                f"{most:.1f}",
                f"{1e3 * max(times, default=0.0):.0f}",
            )
            table.add_row(f"{number:,}: {name}", *figures)
        if unanswered:
            faults.append(f"{name}: {unanswered} messages were not answered")
        await asyncio.sleep(1)
    out.print(table)
    return faults


async def _cpu_of(usage: Usage, seconds: float) -> float:
    before = usage.cpu_seconds()
    await asyncio.sleep(seconds)
    return usage.cpu_seconds() - before


def _count_keys(setup: BenchSetup) -> int:
    """Count what is stored of messages and contacts; the router's own keys come and go."""
    with redis.Redis(unix_socket_path=str(setup.store_socket)) as client:
        return sum(1 for _ in client.scan_iter("sms-router:{[0-9]*}:*", count=10_000))


if __name__ == "__main__":
    command()
