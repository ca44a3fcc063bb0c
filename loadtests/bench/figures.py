"""The figures of a measurement, and their medians."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from loadtests.bench.load import Tally


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds at half of the stack's highest rate."""

    rate: float
    """Messages a second."""
    p50: float
    p99: float
    p999: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """The figures of one stack in one round."""

    cpu: float
    """Microseconds of the server's user and system time per message."""
    store_cpu: float | None
    """The same of its Valkey, if it has one."""
    rate: float
    """Messages a second at full load."""
    latency: Latency
    resident: float
    """Resident megabytes at the end."""
    generator_busy: float
    """Share of its core that the load generator used; near 1 it is the limit."""
    wrong: int
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """The medians of one stack over the rounds."""

    name: str
    cpu: float
    cpu_least: float
    cpu_most: float
    store_cpu: float | None
    rate: float
    latency: Latency
    resident: float
    generator_busy: float
    wrong: int
    faults: tuple[str, ...]


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of the ordered values do not exceed.

    Raises:
        ValueError: if there are no values.

    """
    if not ordered:
        raise ValueError("no values")
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def latency_of(tally: Tally) -> Latency:
    """Return the percentiles of a load in milliseconds; NaN if nothing was answered."""
    ordered = sorted(tally.latencies) or [math.nan]
    return Latency(tally.rate, *(1000 * percentile(ordered, share) for share in (0.5, 0.99, 0.999)))


def summarize(name: str, measurements: Sequence[Measurement]) -> Summary:
    """Return the medians of a stack's measurements, and the sum of their wrong answers."""
    costs = [turn.cpu for turn in measurements]
    stores = [turn.store_cpu for turn in measurements if turn.store_cpu is not None]
    return Summary(
        name=name,
        cpu=median(costs),
        cpu_least=min(costs),
        cpu_most=max(costs),
        store_cpu=median(stores) if stores else None,
        rate=median(turn.rate for turn in measurements),
        latency=Latency(
            median(turn.latency.rate for turn in measurements),
            median(turn.latency.p50 for turn in measurements),
            median(turn.latency.p99 for turn in measurements),
            median(turn.latency.p999 for turn in measurements),
        ),
        resident=median(turn.resident for turn in measurements),
        generator_busy=max(turn.generator_busy for turn in measurements),
        wrong=sum(turn.wrong for turn in measurements),
        faults=tuple(fault for turn in measurements for fault in turn.faults),
    )
