"""``python -m loadtests.hostile``: what strangers on the port cost, and what they cannot do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import chain, count, islice
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Annotated

import redis
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from loadtests.bench.answers import Answer
from loadtests.bench.client import Connection, connect
from loadtests.bench.contestants import CONTESTANTS
from loadtests.bench.load import ClosedLoop
from loadtests.bench.machine import this_machine
from loadtests.bench.pinning import choose_cores, running_on
from loadtests.bench.router_config import write_router_config
from loadtests.bench.server import serving, storing
from loadtests.bench.site import Site
from loadtests.bench.traffic import Webhook
from loadtests.bench.usage import Usage
from loadtests.hostile.crowding import Crowd, texts_between
from loadtests.hostile.forgeries import KINDS, genuine
from sms_router.sandbox.hosting import free_port

ROUTER = next(contestant for contestant in CONTESTANTS if contestant.name == "router")
CONNECTIONS = 32
LONGEST = 600.0
LOOKS = 5
"""How often memory is read while people text."""

command = typer.Typer(add_completion=False)
out = Console()


class Refused(Connection):
    """A connection whose requests must be refused."""

    def _judged(self, answer: Answer) -> str | None:
        return None if answer.status in (b"403", b"400") and not answer.body else f"{answer.head[:40]!r}"


@command.command()
def hostile(
    *,
    requests: Annotated[int, typer.Option(min=100, help="Forgeries of each kind.")] = 2_000,
    people: Annotated[int, typer.Option(min=0, help="How many different people text.")] = 50_000,
    idle: Annotated[int, typer.Option(min=0, help="How many connections send no request.")] = 30_000,
) -> None:
    """Forge requests, let people without number text, and crowd the port with idle connections.

    Ends with 1 when a forgery was not refused or left anything in Redis, or a text was not answered.
    """
    cores = choose_cores()
    with TemporaryDirectory(prefix="sms-hostile-") as name, running_on(cores.generator):
        site = Site(free_port(), Path(name))
        write_router_config(site)
        with storing(ROUTER, site), serving(ROUTER, site, cores) as usage:
            faults = uvloop.run(_all(site, usage, requests, people, idle))
    out.print(str(this_machine(cores)), style="dim")
    for fault in faults:
        out.print(fault, style="red", markup=False)
    if faults:
        raise typer.Exit(1)


async def _all(site: Site, usage: Usage, requests: int, people: int, idle: int) -> list[str]:
    numbers = count()
    texts: Iterator[Webhook] = chain.from_iterable(
        genuine(site, range(first, first + 1)) for first in numbers
    )
    faults = await _forge(site, usage, texts, requests)
    if people:
        faults += await _grow(site, usage, texts, people)
    if idle:
        faults += await _crowd(site, texts, idle)
    return faults


async def _forge(site: Site, usage: Usage, texts: Iterator[Webhook], requests: int) -> list[str]:
    table = Table("a request", "CPU µs", "x a text", "kB", "keys in Redis")
    await _cost(site, usage, Connection, list(islice(texts, 500)))
    text, faults = await _cost(site, usage, Connection, list(islice(texts, requests)))
    table.add_row("a text, answered", f"{text:.0f}", "1.00", "0.9", "")
    for kind, forge in KINDS.items():
        before = _keys(site)
        forged = [Webhook(forge(site), b"") for _ in range(requests)]
        cost, told = await _cost(site, usage, Refused, forged)
        faults += [f"{kind}: {each}" for each in told]
        if grown := max(0, _keys(site) - before):  # what the router probes Redis with expires
            faults.append(f"{kind}: {grown} keys in Redis")
        size = len(forged[0].wire) / 1000
        table.add_row(kind, f"{cost:.0f}", f"{cost / text:.2f}", f"{size:.1f}", f"+{grown}")
    out.print(table)
    return faults


async def _cost(
    site: Site, usage: Usage, kind: type[Connection], requests: Sequence[Webhook]
) -> tuple[float, list[str]]:
    """Return microseconds of CPU per request, and what was wrong."""
    opened = [await _opened(site, kind) for _ in range(CONNECTIONS)]
    before = usage.cpu_seconds()
    tally = await ClosedLoop(opened, iter(requests), LONGEST).run()
    used = usage.cpu_seconds() - before
    for connection in opened:
        connection.close()
    return 1e6 * used / max(tally.answered, 1), tally.faults


async def _opened(site: Site, kind: type[Connection]) -> Connection:
    if kind is Connection:
        return (await connect(site.port, 1))[0]
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(kind, "127.0.0.1", site.port))[1]


async def _grow(site: Site, usage: Usage, texts: Iterator[Webhook], people: int) -> list[str]:
    """Let people text, each once, and see whether the worker's memory settles."""
    table = Table("people so far", "the worker's MB")
    faults: list[str] = []
    for look in range(1, LOOKS + 1):
        connections = await connect(site.port, CONNECTIONS)
        tally = await ClosedLoop(connections, islice(texts, people // LOOKS), LONGEST).run()
        faults += tally.faults
        for connection in connections:
            connection.close()
        table.add_row(f"{look * (people // LOOKS):,}", f"{usage.resident_bytes() / 1e6:.1f}")
    out.print(table)
    return faults


async def _crowd(site: Site, texts: Iterator[Webhook], idle: int) -> list[str]:
    crowd = Crowd(site.port, idle)
    seconds, wrong = await texts_between(site.port, texts, crowd)
    crowd.leave()
    found = quantiles(seconds, n=100) if len(seconds) > 1 else [0.0] * 99
    out.print(
        f"{idle:,} connections that send no request, {crowd.most:,} of them open at once;"
        f" {len(seconds):,} texts between them, each on a new connection:"
        f" p50 {found[49] * 1e3:.0f} ms, p99 {found[98] * 1e3:.0f} ms, {wrong} not answered"
    )
    return [f"{wrong} texts were not answered between idle connections"] if wrong else []


def _keys(site: Site) -> int:
    with redis.Redis(unix_socket_path=str(site.store_socket)) as client:
        return int(client.dbsize())


if __name__ == "__main__":
    command()
