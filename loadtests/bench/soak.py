"""The memory of a worker while it answers many messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from loadtests.bench.client import connect
from loadtests.bench.load import ANSWER_TIMEOUT, ClosedLoop, Tally
from loadtests.bench.pinning import Cores, running_on
from loadtests.bench.progress import Step
from loadtests.bench.report import Cells
from loadtests.bench.router_config import write_router_config
from loadtests.bench.server import running_server, running_store
from loadtests.bench.setup import BenchSetup
from loadtests.bench.stacks import ROUTER
from loadtests.bench.traffic import Webhook, iterate_webhooks
from loadtests.bench.usage import Usage
from sms_router.sandbox.hosting import free_port

BEGIN = "<!-- soak:begin -->"
END = "<!-- soak:end -->"
HEAD = ("messages", "worker MB", "Valkey MB", "messages/s", "CPU µs", "wrong")
STEPS = 10
BATCH = 5_000
"""Messages that are signed at a time, while nothing is measured."""


@dataclass(frozen=True, slots=True)
class MemorySample:
    """The memory after a number of messages, and the figures since the last sample."""

    messages: int
    worker: float
    """Resident megabytes."""
    store: float
    """Resident megabytes of Valkey."""
    rate: float
    cpu: float
    """Microseconds of the router per message, since the last sample."""
    wrong: int
    """Since the start."""
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _StepResult:
    """The results of one step."""

    answered: int
    wrong: int
    seconds: float
    faults: tuple[str, ...]


def measure(
    messages: int, connections: int, cores: Cores, folder: Path, step: Step
) -> tuple[MemorySample, ...]:
    """Send messages to one worker, and return samples at the start and after each tenth.

    Raises:
        StackError: if the router does not start.

    """
    setup = BenchSetup(free_port(), folder)
    write_router_config(setup)
    with (
        running_on(cores.generator),
        running_store(ROUTER, setup) as store,
        running_server(ROUTER, setup, cores) as server,
    ):
        assert store is not None
        signed = iterate_webhooks(setup)
        rows = [_row(0, server, store, _StepResult(0, 0, 0.0, ()), 0.0, 0)]
        for number in range(1, STEPS + 1):
            step(f"{messages * number // STEPS:,} messages")
            count = messages * number // STEPS - rows[-1].messages
            before = server.cpu_seconds()
            result = _send(setup, signed, count, connections)
            used = server.cpu_seconds() - before
            rows.append(_row(rows[-1].messages + count, server, store, result, used, rows[-1].wrong))
        return tuple(rows)


def cells(samples: Sequence[MemorySample]) -> Cells:
    """Return one row per sample."""
    return Cells(
        HEAD,
        tuple(
            (
                f"{sample.messages:,}",
                f"{sample.worker:.1f}",
                f"{sample.store:.0f}",
                f"{sample.rate:,.0f}" if sample.messages else "-",
                f"{sample.cpu:.0f}" if sample.messages else "-",
                str(sample.wrong),
            )
            for sample in samples
        ),
    )


def _send(setup: BenchSetup, signed: Iterator[Webhook], count: int, connections: int) -> _StepResult:
    tallies = []
    while count > 0:
        batch = list(islice(signed, min(count, BATCH)))
        tallies.append(asyncio.run(_load(setup.port, batch, connections)))
        count -= len(batch)
    return _StepResult(
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
        tally.record_fault(f"not sent within {60 + ANSWER_TIMEOUT:.0f} s", unsent)
    return tally


def _row(
    messages: int, server: Usage, store: Usage, result: _StepResult, used: float, wrong: int
) -> MemorySample:
    return MemorySample(
        messages,
        server.worker_bytes() / 1e6,
        store.worker_bytes() / 1e6,
        result.answered / result.seconds if result.seconds else 0.0,
        1e6 * used / max(result.answered, 1),
        wrong + result.wrong,
        result.faults,
    )
