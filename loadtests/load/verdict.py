"""What came out, and whether that is good enough."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run must keep; times are in milliseconds, from the request to the end of the answer."""

    wrong: int = 0
    """Answers that may be wrong or missing."""
    p95: float = 250.0
    p99: float = 1000.0
    share: float = 0.8
    """Of the wanted rate, so that a run that could not keep up is not taken for a good one."""


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Row:
    """The requests of one name."""

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
    whole: Row
    """All but the handler that is slow by itself."""
    messages: int
    """Different messages that were answered."""
    wrong: int
    """Answers that were wrong or missing, from the very first on."""
    errors: int
    """Faults of the load tool itself."""
    acts: int
    """Things that people did; the rate counts these."""
    seconds: float
    wanted: float
    """Acts a second; 0 where nobody said."""
    faults: tuple[str, ...]
    """The first few, in words."""


def row(name: str, times: Mapping[int, int], wrong: int) -> Row:
    """Return a row from milliseconds and how often each was taken."""
    requests = sum(times.values())
    p50, p95, p99 = (percentile(times, share) for share in (0.5, 0.95, 0.99))
    return Row(name, requests, wrong, p50, p95, p99, float(max(times, default=0)))


def merged(every: Iterable[Mapping[int, int]]) -> Counter[int]:
    """Add up several counts of times."""
    total: Counter[int] = Counter()
    for times in every:
        total.update(times)
    return total


def percentile(times: Mapping[int, int], share: float) -> float:
    """Return the smallest time that at least ``share`` of all do not exceed; 0 where there are none."""
    wanted = math.ceil(share * sum(times.values()))
    seen = 0
    for time, count in sorted(times.items()):
        seen += count
        if seen >= wanted:
            return float(time)
    return 0.0


def broken_limits(figures: Figures, limits: Limits) -> list[str]:
    """Return every limit that was not kept, in words; empty when the run is good."""
    broken = []
    whole = figures.whole
    if not figures.messages:
        broken.append("no message was answered")
    if figures.errors:
        broken.append(f"the load tool itself failed {figures.errors} times")
    if figures.wrong > limits.wrong:
        broken.append(f"{figures.wrong} answers wrong or missing; the limit is {limits.wrong}")
    for name, value, most in (("p95", whole.p95, limits.p95), ("p99", whole.p99, limits.p99)):
        if value > most:
            broken.append(f"{name} is {value:.0f} ms; the limit is {most:.0f} ms")
    rate = figures.acts / figures.seconds if figures.seconds else 0.0
    if rate < limits.share * figures.wanted:
        broken.append(
            f"{rate:.0f} a second where {figures.wanted:.0f} were wanted; "
            f"the limit is {limits.share:.0%} of that (lower RATE, or raise USERS)"
        )
    return broken


def write_figures(path: Path, figures: Figures) -> None:
    """Keep the figures for whoever started locust."""
    path.write_text(json.dumps(asdict(figures)))


def read_figures(path: Path) -> Figures:
    """Read what `write_figures` has written."""
    document = json.loads(path.read_text())
    rows = tuple(Row(**each) for each in document.pop("rows"))
    whole = Row(**document.pop("whole"))
    return Figures(rows, whole, faults=tuple(document.pop("faults")), **document)
