"""The router with more connections, with duplicate messages, and with two workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loadtests.bench.figures import Measurement, Summary, summarize
from loadtests.bench.measurement import measure_stack
from loadtests.bench.pinning import Cores
from loadtests.bench.plan import Plan
from loadtests.bench.progress import Step
from loadtests.bench.report import NOTHING, Cells
from loadtests.bench.router_config import write_router_config
from loadtests.bench.setup import BenchSetup
from loadtests.bench.stacks import ROUTER
from loadtests.bench.traffic import Webhook, add_duplicates, make_webhooks
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
    """One way in which the router is measured."""

    kind: str
    level: str
    """The label on the axis of a chart."""
    connections: int | None = None
    duplicates: float = 0.0
    workers: int | None = None
    """None: one, on its own core. With a number nothing is pinned."""

    @property
    def name(self) -> str:
        """Its name in the table."""
        return f"{self.level} {self.kind.removesuffix('s') if self.level == '1' else self.kind}"


CONDITIONS = (
    *(Condition("connections", f"{count:,}", connections=count) for count in (1, 10, 100, 1_000)),
    *(Condition("duplicates", f"{share:.0%}", duplicates=share) for share in (0, 0.1, 0.25, 0.5)),
    *(Condition("workers", str(count), workers=count) for count in (1, 2)),
)


def count_steps(plan: Plan) -> int:
    """Return the number of steps."""
    return 1 + plan.rounds * len(CONDITIONS)


def measure(plan: Plan, cores: Cores, folder: Path, step: Step) -> tuple[Summary, ...]:
    """Return the router's figures under each condition; takes some seconds for each.

    Raises:
        StackError: if the router does not start.

    """
    step("signing the messages")
    plan = plan.shorter
    setup = BenchSetup(free_port(), folder)
    write_router_config(setup)
    signed = make_webhooks(setup, plan.webhooks)
    measurements: dict[Condition, list[Measurement]] = {condition: [] for condition in CONDITIONS}
    for number in range(1, plan.rounds + 1):
        for condition, results in measurements.items():
            step(f"round {number}: {condition.name}")
            results.append(_measure(condition, setup, signed, plan, cores))
    return tuple(summarize(condition.name, results) for condition, results in measurements.items())


def _measure(
    condition: Condition, setup: BenchSetup, signed: Sequence[Webhook], plan: Plan, cores: Cores
) -> Measurement:
    return measure_stack(
        ROUTER,
        replace(setup, workers=condition.workers or 1),
        add_duplicates(signed, condition.duplicates) if condition.duplicates else signed,
        replace(plan, connections=condition.connections or plan.connections),
        UNPINNED if condition.workers else cores,
    )


def cells(summaries: Sequence[Summary]) -> Cells:
    """Return one row per condition."""
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
