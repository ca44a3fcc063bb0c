"""Which charts stand in the README."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from loadtests.bench.chart import Bar, Line, Panel, bars, panels
from loadtests.bench.conditions import CONDITIONS
from loadtests.bench.figures import Summary
from loadtests.bench.growth import Growth
from loadtests.bench.rules import RulesGrowth
from loadtests.bench.slow_upstream import Beside

FOLDER = Path(__file__).resolve().parents[1]
COST = FOLDER / "cost.svg"
GROWTH = FOLDER / "growth.svg"
CPU = "µs of CPU"


def cost_chart(summaries: Sequence[Summary], told: str) -> str:
    """Return what a message costs each contestant."""
    shown = [Bar(each.name, each.cpu, each.name == "router") for each in summaries]
    return bars("CPU per message, µs", told, shown)


def growth_chart(
    senders: Sequence[Growth],
    rules: Sequence[RulesGrowth],
    conditions: Sequence[Summary],
    upstream: Sequence[Beside],
    told: str,
) -> str:
    """Return how the router's cost moves with everything that may grow."""
    choosing = Panel(
        "senders",
        f"{CPU} to choose one",
        tuple(f"{each.senders:,}" for each in senders),
        (
            Line("short code", tuple(each.short_code for each in senders)),
            Line("long code", tuple(each.long_code for each in senders)),
        ),
    )
    finding = Panel(
        "keyword rules",
        f"{CPU} to find the one",
        tuple(f"{each.rules:,}" for each in rules),
        (
            Line("word", tuple(each.first_word for each in rules)),
            Line("pattern", tuple(each.pattern for each in rules)),
            Line("none", tuple(each.none for each in rules)),
        ),
    )
    beside = Panel(
        "beside a slow upstream",
        "ms of the other texts",
        tuple("none" if math.isnan(each.theirs) else each.way for each in upstream),
        (
            Line("p50", tuple(each.others.p50 for each in upstream)),
            Line("p99", tuple(each.others.p99 for each in upstream)),
        ),
    )
    return panels(
        "What the router costs when things grow",
        told,
        [
            choosing,
            finding,
            _condition("connections", "connections", "cpu", conditions),
            _condition("duplicates", "messages that come twice", "cpu", conditions),
            _condition("workers", "workers", "rate", conditions),
            beside,
        ],
    )


def _condition(question: str, title: str, figure: str, summaries: Sequence[Summary]) -> Panel:
    found = {summary.name: summary for summary in summaries}
    asked = [condition for condition in CONDITIONS if condition.question == question]
    values = tuple(float(getattr(found[condition.name], figure)) for condition in asked)
    unit = f"{CPU} per message" if figure == "cpu" else "messages a second"
    return Panel(title, unit, tuple(condition.level for condition in asked), (Line(title, values),))
