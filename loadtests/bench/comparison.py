"""Measures the stacks: each once per round, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from loadtests.bench.figures import Measurement, Summary, summarize
from loadtests.bench.measurement import measure_stack
from loadtests.bench.pinning import Cores
from loadtests.bench.plan import Plan
from loadtests.bench.progress import Step
from loadtests.bench.router_config import write_router_config
from loadtests.bench.setup import BenchSetup
from loadtests.bench.stacks import Stack
from loadtests.bench.traffic import make_webhooks
from sms_router.sandbox.hosting import free_port


def count_steps(stacks: Sequence[Stack], plan: Plan) -> int:
    """Return the number of steps."""
    return 1 + plan.rounds * len(stacks)


def measure(
    stacks: Sequence[Stack], plan: Plan, cores: Cores, folder: Path, step: Step
) -> tuple[Summary, ...]:
    """Return the medians of each stack; takes about ten seconds per measurement.

    Raises:
        StackError: if one does not start or does not verify signatures.

    """
    step("signing the messages")
    measurements: dict[str, list[Measurement]] = {stack.name: [] for stack in stacks}
    setup = BenchSetup(free_port(), folder)
    write_router_config(setup)
    messages = make_webhooks(setup, plan.webhooks)
    for number in range(1, plan.rounds + 1):
        for stack in stacks:
            step(f"round {number}: {stack.name}")
            measurements[stack.name].append(measure_stack(stack, setup, messages, plan, cores))
    return tuple(summarize(name, results) for name, results in measurements.items())
