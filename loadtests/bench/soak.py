"""Whether memory stays flat while messages come and come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from loadtests.bench.client import connect
from loadtests.bench.contestants import ROUTER
from loadtests.bench.load import PATIENCE, ClosedLoop, Tally
from loadtests.bench.pinning import Cores, running_on
from loadtests.bench.progress import Step
from loadtests.bench.report import Cells
from loadtests.bench.router_config import write_router_config
from loadtests.bench.server import serving, storing
from loadtests.bench.site import Site
from loadtests.bench.traffic import Webhook, endless
from loadtests.bench.usage import Usage
from sms_router.sandbox.hosting import free_port

BEGIN = "<!-- soak:begin -->"
END = "<!-- soak:end -->"
HEAD = ("messages", "worker MB", "Valkey MB", "messages/s", "CPU µs", "wrong")
STEPS = 10
AT_ONCE = 5_000
"""So many messages are signed and held at a time; they are signed while nobody is measured."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is held after so many messages, and how the last of them went."""

    messages: int
    worker: float
    """Megabytes of resident memory."""
    store: float
    rate: float
    cpu: float
    """Microseconds of the router per message, since the row before."""
    wrong: int
    """Since the beginning."""
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Sums:
    """What has been counted in one step."""

    answered: int
    wrong: int
    seconds: float
    faults: tuple[str, ...]


def measure(messages: int, connections: int, cores: Cores, folder: Path, step: Step) -> tuple[Held, ...]:
    """Send so many messages to one worker; return what it held at the start and after every tenth.

    Raises:
        ContestantError: when the router does not start.

    """
    site = Site(free_port(), folder)
    write_router_config(site)
    with (
        running_on(cores.generator),
        storing(ROUTER, site) as store,
        serving(ROUTER, site, cores) as server,
    ):
        assert store is not None
        signed = endless(site)
        rows = [_row(0, server, store, _Sums(0, 0, 0.0, ()), 0.0, 0)]
        for number in range(1, STEPS + 1):
            step(f"{messages * number // STEPS:,} messages")
            count = messages * number // STEPS - rows[-1].messages
            before = server.cpu_seconds()
            sums = _send(site, signed, count, connections)
            used = server.cpu_seconds() - before
            rows.append(_row(rows[-1].messages + count, server, store, sums, used, rows[-1].wrong))
        return tuple(rows)


def cells(figures: Sequence[Held]) -> Cells:
    """Return the table; one row for each step."""
    return Cells(
        HEAD,
        tuple(
            (
                f"{each.messages:,}",
                f"{each.worker:.1f}",
                f"{each.store:.0f}",
                f"{each.rate:,.0f}" if each.messages else "-",
                f"{each.cpu:.0f}" if each.messages else "-",
                str(each.wrong),
            )
            for each in figures
        ),
    )


def _send(site: Site, signed: Iterator[Webhook], count: int, connections: int) -> _Sums:
    tallies = []
    while count > 0:
        batch = list(islice(signed, min(count, AT_ONCE)))
        tallies.append(asyncio.run(_load(site.port, batch, connections)))
        count -= len(batch)
    return _Sums(
        sum(tally.answered for tally in tallies),
        sum(tally.wrong for tally in tallies),
        sum(tally.seconds for tally in tallies),
        tuple(fault for tally in tallies for fault in tally.faults),
    )


async def _load(port: int, batch: Sequence[Webhook], count: int) -> Tally:
    connections = await connect(port, count)
    try:
        tally = await ClosedLoop(connections, iter(batch), seconds=60).run()
    finally:
        for connection in connections:
            connection.close()
    unsent = len(batch) - tally.answered - tally.wrong
    if unsent:
        tally.note_fault(f"not sent within {60 + PATIENCE:.0f} s", unsent)
    return tally


def _row(messages: int, server: Usage, store: Usage, sums: _Sums, used: float, wrong: int) -> Held:
    return Held(
        messages,
        server.worker_bytes() / 1e6,
        store.worker_bytes() / 1e6,
        sums.answered / sums.seconds if sums.seconds else 0.0,
        1e6 * used / max(sums.answered, 1),
        wrong + sums.wrong,
        sums.faults,
    )
