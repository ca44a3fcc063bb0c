"""From what the stopwatch took to microseconds per message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtests.profiling.stages import ENTRANCE, STAGES
from loadtests.profiling.stopwatch import Cost, Own

REST = "event loop and kernel"
"""What no stage explains: uvloop, system calls, tasks and their switches."""


@dataclass(frozen=True, slots=True)
class Row:
    """One stage's own time, in microseconds per message."""

    name: str
    microseconds: float
    calls: float
    """How often a message passes the stage; below 1 where several share a call."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Where one message's time goes."""

    rows: tuple[Row, ...]
    total: float
    """CPU of the router per message without any stopwatch, in microseconds."""
    timed_total: float
    """The same while the stopwatch ran."""
    store: float
    """CPU of Valkey per message, in microseconds."""
    messages: int

    def share(self, row: Row) -> float:
        """Return the row's share of the whole."""
        return row.microseconds / self.total if self.total else 0.0


def read_figures(path: Path) -> tuple[dict[str, Own], Cost]:
    """Return what the instrumented router has left."""
    document = json.loads(path.read_text())
    stages = {name: Own(**own) for name, own in document["stages"].items()}
    return stages, Cost(**document["cost"])


def profile_of(
    stages: Mapping[str, Own], cost: Cost, total: float, timed_total: float, store: float
) -> Profile:
    """Return the profile, with what the stopwatch itself has cost taken off.

    How much that is in all is known from the two totals; how it falls on the stages, from ``cost``.
    """
    messages = stages[ENTRANCE].calls
    taken = {stage: stages[stage.name].nanoseconds / 1000 / messages for stage in STAGES}
    charged = {stage: cost.of(stages[stage.name], waits=stage.waits) / 1000 / messages for stage in STAGES}
    scale = max(0.0, timed_total - total) / (sum(charged.values()) or 1.0)
    rows = [
        Row(stage.name, max(0.0, taken[stage] - scale * charged[stage]), stages[stage.name].calls / messages)
        for stage in STAGES
    ]
    rest = max(0.0, total - sum(row.microseconds for row in rows))
    return Profile((*rows, Row(REST, rest, 1.0)), total, timed_total, store, messages)
