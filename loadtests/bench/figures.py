"""The numbers of a turn, and of all turns together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from loadtests.bench.load import Tally


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds at half of the contestant's own highest rate."""

    rate: float
    """Messages a second."""
    p50: float
    p99: float
    p999: float


@dataclass(frozen=True, slots=True)
class Turn:
    """One contestant's figures in one round."""

    cpu: float
    """Microseconds of the server's user and system time per message."""
    store_cpu: float | None
    """The same of the Valkey beside it, if there is one."""
    rate: float
    """Messages a second, as fast as it answers."""
    latency: Latency
    resident: float
    """Megabytes after all the messages of the turn."""
    generator_busy: float
    """Share of its core that the load generator used; near 1 it holds the server back."""
    wrong: int
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """One contestant's medians over the rounds."""

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
        ValueError: when there are no values.

    """
    if not ordered:
        raise ValueError("no values")
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def latency_of(tally: Tally) -> Latency:
    """Return the percentiles of a load in milliseconds; not-a-number when nothing was answered."""
    ordered = sorted(tally.latencies) or [math.nan]
    return Latency(tally.rate, *(1000 * percentile(ordered, share) for share in (0.5, 0.99, 0.999)))


def summarise(name: str, turns: Sequence[Turn]) -> Summary:
    """Return the medians of a contestant's turns; wrong answers are added up."""
    costs = [turn.cpu for turn in turns]
    stores = [turn.store_cpu for turn in turns if turn.store_cpu is not None]
    return Summary(
        name=name,
        cpu=median(costs),
        cpu_least=min(costs),
        cpu_most=max(costs),
        store_cpu=median(stores) if stores else None,
        rate=median(turn.rate for turn in turns),
        latency=Latency(
            median(turn.latency.rate for turn in turns),
            median(turn.latency.p50 for turn in turns),
            median(turn.latency.p99 for turn in turns),
            median(turn.latency.p999 for turn in turns),
        ),
        resident=median(turn.resident for turn in turns),
        generator_busy=max(turn.generator_busy for turn in turns),
        wrong=sum(turn.wrong for turn in turns),
        faults=tuple(fault for turn in turns for fault in turn.faults),
    )
