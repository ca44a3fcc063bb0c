"""One measurement: start, warm up, full load, load at half of that rate, stop."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import uvloop

from loadtests.bench.client import connect
from loadtests.bench.figures import Measurement, latency_of
from loadtests.bench.load import ClosedLoop, OpenLoop, Tally
from loadtests.bench.pinning import Cores, running_on
from loadtests.bench.plan import Plan
from loadtests.bench.server import running_server, running_store
from loadtests.bench.setup import BenchSetup
from loadtests.bench.stacks import Stack
from loadtests.bench.traffic import Webhook, without_expected_text
from loadtests.bench.usage import Usage


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """CPU seconds of all processes at one moment."""

    server: float
    store: float | None
    generator: float


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes whose CPU is read."""

    server: Usage
    store: Usage | None

    def read_cpu(self) -> CpuTimes:
        """Return the CPU seconds so far."""
        store = None if self.store is None else self.store.cpu_seconds()
        return CpuTimes(self.server.cpu_seconds(), store, time.process_time())


@dataclass(frozen=True, slots=True)
class Loads:
    """The results of the three loads, and the CPU times before and after the closed loop."""

    warmup: Tally
    closed: Tally
    opened: Tally
    before: CpuTimes
    after: CpuTimes


def measure_stack(
    stack: Stack, setup: BenchSetup, webhooks: Sequence[Webhook], plan: Plan, cores: Cores
) -> Measurement:
    """Measure one stack once.

    Raises:
        StackError: if it does not start or does not verify signatures.

    """
    requests = webhooks if stack.checks else without_expected_text(webhooks)
    with (
        running_on(cores.generator),
        running_store(stack, setup) as store,
        running_server(stack, setup, cores) as server,
        _without_garbage_collection(),
    ):
        loads = uvloop.run(_load(setup.port, iter(requests), plan, Processes(server, store)))
        return _measurement(loads, server.resident_bytes())


async def _load(port: int, webhooks: Iterator[Webhook], plan: Plan, processes: Processes) -> Loads:
    connections = await connect(port, plan.connections)
    try:
        warmup = await ClosedLoop(connections, islice(webhooks, plan.warmup), plan.closed_seconds).run()
        before = processes.read_cpu()
        closed = await ClosedLoop(connections, islice(webhooks, plan.messages), plan.closed_seconds).run()
        after = processes.read_cpu()
        half = OpenLoop(connections, islice(webhooks, plan.messages), closed.rate / 2)
        opened = await half.run(plan.open_seconds)
    finally:
        for connection in connections:
            connection.close()
    return Loads(warmup, closed, opened, before, after)


def _measurement(loads: Loads, resident: int) -> Measurement:
    before, after, closed = loads.before, loads.after, loads.closed
    messages = max(closed.answered, 1)
    tallies = (loads.warmup, closed, loads.opened)
    return Measurement(
        cpu=1e6 * (after.server - before.server) / messages,
        store_cpu=_store_cpu(before, after, messages),
        rate=closed.rate,
        latency=latency_of(loads.opened),
        resident=resident / 1e6,
        generator_busy=(after.generator - before.generator) / closed.seconds,
        wrong=sum(tally.wrong for tally in tallies),
        faults=tuple(fault for tally in tallies for fault in tally.faults),
    )


def _store_cpu(before: CpuTimes, after: CpuTimes, messages: int) -> float | None:
    if before.store is None or after.store is None:
        return None
    return 1e6 * (after.store - before.store) / messages


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Avoid pauses of the load generator, which would count as latency."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
