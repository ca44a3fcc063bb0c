"""What the router costs when life changes around it: more connections, more duplicates, another worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loadtests.bench.contestants import ROUTER
from loadtests.bench.figures import Summary, Turn, summarise
from loadtests.bench.pinning import Cores
from loadtests.bench.plan import Plan
from loadtests.bench.progress import Step
from loadtests.bench.report import NOTHING, Cells
from loadtests.bench.router_config import write_router_config
from loadtests.bench.site import Site
from loadtests.bench.traffic import Webhook, webhooks, with_duplicates
from loadtests.bench.turns import take_turn
from sms_router.sandbox.hosting import free_port

BEGIN = "<!-- conditions:begin -->"
END = "<!-- conditions:end -->"

HEAD = (
    "the router with",
    "CPU µs",
    "range",
    "Valkey µs",
    "messages/s",
    "p50 ms",
    "p99 ms",
    "at",
    "MB",
    "wrong",
)

UNPINNED = Cores(server=None, generator=None)


@dataclass(frozen=True, slots=True)
class Condition:
    """One way in which a turn of the router differs from the turn beside the others."""

    question: str
    level: str
    """What stands on the axis of a chart."""
    connections: int | None = None
    duplicates: float = 0.0
    workers: int | None = None
    """None: one, on a core of its own. With a number, nothing is pinned."""

    @property
    def name(self) -> str:
        """What it is called in the table."""
        return f"{self.level} {self.question.removesuffix('s') if self.level == '1' else self.question}"


CONDITIONS = (
    *(Condition("connections", f"{count:,}", connections=count) for count in (1, 10, 100, 1_000)),
    *(Condition("duplicates", f"{share:.0%}", duplicates=share) for share in (0, 0.1, 0.25, 0.5)),
    *(Condition("workers", str(count), workers=count) for count in (1, 2)),
)


def turns_of(plan: Plan) -> int:
    """Return how many steps a measurement takes."""
    return 1 + plan.rounds * len(CONDITIONS)


def measure(plan: Plan, cores: Cores, folder: Path, step: Step) -> tuple[Summary, ...]:
    """Return the router's figures in every condition, in their order; takes some seconds for each turn.

    Raises:
        ContestantError: when the router does not start.

    """
    step("signing the messages")
    plan = plan.shorter
    site = Site(free_port(), folder)
    write_router_config(site)
    signed = webhooks(site, plan.webhooks)
    turns: dict[Condition, list[Turn]] = {condition: [] for condition in CONDITIONS}
    for number in range(1, plan.rounds + 1):
        for condition, taken in turns.items():
            step(f"round {number}: {condition.name}")
            taken.append(_turn(condition, site, signed, plan, cores))
    return tuple(summarise(condition.name, taken) for condition, taken in turns.items())


def _turn(condition: Condition, site: Site, signed: Sequence[Webhook], plan: Plan, cores: Cores) -> Turn:
    return take_turn(
        ROUTER,
        replace(site, workers=condition.workers or 1),
        with_duplicates(signed, condition.duplicates) if condition.duplicates else signed,
        replace(plan, connections=condition.connections or plan.connections),
        UNPINNED if condition.workers else cores,
    )


def cells(summaries: Sequence[Summary]) -> Cells:
    """Return the table; one row for each condition."""
    return Cells(HEAD, tuple(_row(summary) for summary in summaries))


def _row(summary: Summary) -> tuple[str, ...]:
    return (
        summary.name,
        f"{summary.cpu:.0f}",
        f"{summary.cpu_least:.0f}-{summary.cpu_most:.0f}",
        NOTHING if summary.store_cpu is None else f"{summary.store_cpu:.0f}",
        f"{summary.rate:,.0f}",
        f"{summary.latency.p50:.2f}",
        f"{summary.latency.p99:.2f}",
        f"{summary.latency.rate:,.0f}/s",
        f"{summary.resident:.0f}",
        str(summary.wrong),
    )
