"""The figures of a run, and their limits."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a run; times are in milliseconds, from the request to the end of the answer."""

    wrong: int = 0
    """Answers that may be wrong or missing."""
    p95: float = 250.0
    p99: float = 1000.0
    rate_share: float = 0.8
    """Share of the wanted rate that must be reached."""


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Row:
    """The requests of one kind."""

    name: str
    requests: int
    wrong: int
    p50: float
    p95: float
    p99: float
    longest: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One run."""

    rows: tuple[Row, ...]
    total: Row
    """All requests except those to the slow handler."""
    messages: int
    """Messages that were answered, each counted once."""
    wrong: int
    """Answers that were wrong or missing, also before the measurement began."""
    errors: int
    """Exceptions in the load test itself."""
    actions: int
    """Actions of the contacts; the rate counts these."""
    seconds: float
    wanted_rate: float
    """Actions a second; 0 if none was requested."""
    faults: tuple[str, ...]
    """The first faults."""


def make_row(name: str, times: Mapping[int, int], wrong: int) -> Row:
    """Return a row from the number of requests per time in milliseconds."""
    requests = sum(times.values())
    p50, p95, p99 = (percentile(times, share) for share in (0.5, 0.95, 0.99))
    return Row(name, requests, wrong, p50, p95, p99, float(max(times, default=0)))


def merge_times(histograms: Iterable[Mapping[int, int]]) -> Counter[int]:
    """Add up several histograms of times."""
    total: Counter[int] = Counter()
    for times in histograms:
        total.update(times)
    return total


def percentile(times: Mapping[int, int], share: float) -> float:
    """Return the smallest time that at least ``share`` of all do not exceed; 0 if there are none."""
    wanted = math.ceil(share * sum(times.values()))
    seen = 0
    for time, count in sorted(times.items()):
        seen += count
        if seen >= wanted:
            return float(time)
    return 0.0


def exceeded_limits(figures: Figures, limits: Limits) -> list[str]:
    """Return a sentence for each limit that was exceeded."""
    exceeded = []
    total = figures.total
    if not figures.messages:
        exceeded.append("no message was answered")
    if figures.errors:
        exceeded.append(f"the load test itself failed {figures.errors} times")
    if figures.wrong > limits.wrong:
        exceeded.append(f"{figures.wrong} answers wrong or missing; the limit is {limits.wrong}")
    for name, value, most in (("p95", total.p95, limits.p95), ("p99", total.p99, limits.p99)):
        if value > most:
            exceeded.append(f"{name} is {value:.0f} ms; the limit is {most:.0f} ms")
    rate = figures.actions / figures.seconds if figures.seconds else 0.0
    if rate < limits.rate_share * figures.wanted_rate:
        exceeded.append(
            f"{rate:.0f} actions a second, {figures.wanted_rate:.0f} were requested; "
            f"the limit is {limits.rate_share:.0%} of that (lower RATE, or raise USERS)"
        )
    return exceeded


def write_figures(path: Path, figures: Figures) -> None:
    """Write the figures for the process that started locust."""
    path.write_text(json.dumps(asdict(figures)))


def read_figures(path: Path) -> Figures:
    """Read a file of `write_figures`."""
    document = json.loads(path.read_text())
    rows = tuple(Row(**row) for row in document.pop("rows"))
    total = Row(**document.pop("total"))
    return Figures(rows, total, faults=tuple(document.pop("faults")), **document)
