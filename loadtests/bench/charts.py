"""The charts of the README."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from loadtests.bench.chart import Bar, Line, Panel, bars, panels
from loadtests.bench.conditions import CONDITIONS
from loadtests.bench.figures import Summary
from loadtests.bench.rules import RuleFigures
from loadtests.bench.senders import SenderFigures
from loadtests.bench.slow_upstream import UpstreamFigures

FOLDER = Path(__file__).resolve().parents[1]
COST = FOLDER / "cost.svg"
GROWTH = FOLDER / "growth.svg"
CPU = "µs of CPU"


def cost_chart(summaries: Sequence[Summary], subtitle: str) -> str:
    """Return the CPU per message of each stack."""
    shown = [Bar(summary.name, summary.cpu, summary.name == "router") for summary in summaries]
    return bars("CPU per message, µs", subtitle, shown)


def growth_chart(
    senders: Sequence[SenderFigures],
    rules: Sequence[RuleFigures],
    conditions: Sequence[Summary],
    upstream: Sequence[UpstreamFigures],
    subtitle: str,
) -> str:
    """Return the router's cost by size and condition."""
    selection = Panel(
        "senders",
        f"{CPU} to select one",
        tuple(f"{each.senders:,}" for each in senders),
        (
            Line("short code", tuple(each.short_code for each in senders)),
            Line("long code", tuple(each.long_code for each in senders)),
        ),
    )
    lookup = Panel(
        "keyword rules",
        f"{CPU} to find one",
        tuple(f"{each.rules:,}" for each in rules),
        (
            Line("word", tuple(each.first_word for each in rules)),
            Line("pattern", tuple(each.pattern for each in rules)),
            Line("none", tuple(each.none for each in rules)),
        ),
    )
    beside = Panel(
        "a slow upstream",
        "ms, of the other messages",
        tuple("none" if math.isnan(each.forwarded_p50) else each.response for each in upstream),
        (
            Line("p50", tuple(each.latency.p50 for each in upstream)),
            Line("p99", tuple(each.latency.p99 for each in upstream)),
        ),
    )
    return panels(
        "The router's cost by size and condition",
        subtitle,
        [
            selection,
            lookup,
            _condition("connections", "connections", "cpu", conditions),
            _condition("duplicates", "duplicate messages", "cpu", conditions),
            _condition("workers", "workers", "rate", conditions),
            beside,
        ],
    )


def _condition(kind: str, title: str, figure: str, summaries: Sequence[Summary]) -> Panel:
    by_name = {summary.name: summary for summary in summaries}
    conditions = [condition for condition in CONDITIONS if condition.kind == kind]
    values = tuple(float(getattr(by_name[condition.name], figure)) for condition in conditions)
    unit = f"{CPU} per message" if figure == "cpu" else "messages a second"
    return Panel(title, unit, tuple(condition.level for condition in conditions), (Line(title, values),))
