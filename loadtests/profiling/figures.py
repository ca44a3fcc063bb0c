"""Microseconds per message, from the times of the stopwatch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtests.profiling.stages import ENTRY_STAGE, STAGES
from loadtests.profiling.stopwatch import Cost, StageTime

REST = "event loop and kernel"
"""The rest: uvloop, system calls, tasks and task switches."""


@dataclass(frozen=True, slots=True)
class Row:
    """The time of one stage without nested stages, in microseconds per message."""

    name: str
    microseconds: float
    calls: float
    """Calls per message; below 1 if several messages share a call."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The time of one message, by stage."""

    rows: tuple[Row, ...]
    total: float
    """CPU of the router per message without the stopwatch, in microseconds."""
    timed_total: float
    """The same with the stopwatch."""
    store: float
    """CPU of Valkey per message, in microseconds."""
    messages: int

    def share(self, row: Row) -> float:
        """Return the row's share of the total."""
        return row.microseconds / self.total if self.total else 0.0


def read_figures(path: Path) -> tuple[dict[str, StageTime], Cost]:
    """Read the file of the instrumented router."""
    document = json.loads(path.read_text())
    stages = {name: StageTime(**times) for name, times in document["stages"].items()}
    return stages, Cost(**document["cost"])


def make_profile(
    stages: Mapping[str, StageTime], cost: Cost, total: float, timed_total: float, store: float
) -> Profile:
    """Return the profile without the cost of the stopwatch.

    The sum of that cost is the difference of the two totals; ``cost`` distributes it over the stages.
    """
    messages = stages[ENTRY_STAGE].calls
    times = {stage: stages[stage.name].nanoseconds / 1000 / messages for stage in STAGES}
    charged = {
        stage: cost.of(stages[stage.name], is_coroutine=stage.is_coroutine) / 1000 / messages
        for stage in STAGES
    }
    scale = max(0.0, timed_total - total) / (sum(charged.values()) or 1.0)
    rows = [
        Row(stage.name, max(0.0, times[stage] - scale * charged[stage]), stages[stage.name].calls / messages)
        for stage in STAGES
    ]
    rest = max(0.0, total - sum(row.microseconds for row in rows))
    return Profile((*rows, Row(REST, rest, 1.0)), total, timed_total, store, messages)
