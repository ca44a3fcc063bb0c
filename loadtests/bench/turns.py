"""One turn: start, warm up, load as fast as it goes, load at half of that, stop."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import uvloop

from loadtests.bench.client import connect
from loadtests.bench.contestants import Contestant
from loadtests.bench.figures import Turn, latency_of
from loadtests.bench.load import ClosedLoop, OpenLoop, Tally
from loadtests.bench.pinning import Cores, running_on
from loadtests.bench.plan import Plan
from loadtests.bench.server import serving, storing
from loadtests.bench.site import Site
from loadtests.bench.traffic import Webhook, without_reply
from loadtests.bench.usage import Usage


@dataclass(frozen=True, slots=True)
class Clock:
    """CPU seconds of everybody who has a part, read at one moment."""

    server: float
    store: float | None
    generator: float


@dataclass(frozen=True, slots=True)
class Clocks:
    """The processes whose time is read."""

    server: Usage
    store: Usage | None

    def read(self) -> Clock:
        """Return everybody's time so far."""
        store = None if self.store is None else self.store.cpu_seconds()
        return Clock(self.server.cpu_seconds(), store, time.process_time())


@dataclass(frozen=True, slots=True)
class Loads:
    """What came of the three loads of a turn, and the time before and after the measured one."""

    warmup: Tally
    closed: Tally
    opened: Tally
    before: Clock
    after: Clock


def take_turn(
    contestant: Contestant, site: Site, webhooks: Sequence[Webhook], plan: Plan, cores: Cores
) -> Turn:
    """Measure one contestant once.

    Raises:
        ContestantError: when it does not start or does not check signatures.

    """
    requests = webhooks if contestant.checks else without_reply(webhooks)
    with (
        running_on(cores.generator),
        storing(contestant, site) as store,
        serving(contestant, site, cores) as server,
        _without_garbage_collection(),
    ):
        loads = uvloop.run(_load(site.port, iter(requests), plan, Clocks(server, store)))
        return _turn(loads, server.resident_bytes())


async def _load(port: int, webhooks: Iterator[Webhook], plan: Plan, clocks: Clocks) -> Loads:
    connections = await connect(port, plan.connections)
    try:
        warmup = await ClosedLoop(connections, islice(webhooks, plan.warmup), plan.closed_seconds).run()
        before = clocks.read()
        closed = await ClosedLoop(connections, islice(webhooks, plan.messages), plan.closed_seconds).run()
        after = clocks.read()
        half = OpenLoop(connections, islice(webhooks, plan.messages), closed.rate / 2)
        opened = await half.run(plan.open_seconds)
    finally:
        for connection in connections:
            connection.close()
    return Loads(warmup, closed, opened, before, after)


def _turn(loads: Loads, resident: int) -> Turn:
    before, after, closed = loads.before, loads.after, loads.closed
    messages = max(closed.answered, 1)
    tallies = (loads.warmup, closed, loads.opened)
    return Turn(
        cpu=1e6 * (after.server - before.server) / messages,
        store_cpu=_store_cpu(before, after, messages),
        rate=closed.rate,
        latency=latency_of(loads.opened),
        resident=resident / 1e6,
        generator_busy=(after.generator - before.generator) / closed.seconds,
        wrong=sum(tally.wrong for tally in tallies),
        faults=tuple(fault for tally in tallies for fault in tally.faults),
    )


def _store_cpu(before: Clock, after: Clock, messages: int) -> float | None:
    if before.store is None or after.store is None:
        return None
    return 1e6 * (after.store - before.store) / messages


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Keep the load generator's own pauses out of the latencies."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
