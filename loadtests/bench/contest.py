"""The contestants side by side: each has its turn in every round."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from loadtests.bench.contestants import Contestant
from loadtests.bench.figures import Summary, Turn, summarise
from loadtests.bench.pinning import Cores
from loadtests.bench.plan import Plan
from loadtests.bench.progress import Step
from loadtests.bench.router_config import write_router_config
from loadtests.bench.site import Site
from loadtests.bench.traffic import webhooks
from loadtests.bench.turns import take_turn
from sms_router.sandbox.hosting import free_port


def turns_of(contestants: Sequence[Contestant], plan: Plan) -> int:
    """Return how many steps a measurement takes."""
    return 1 + plan.rounds * len(contestants)


def measure(
    contestants: Sequence[Contestant], plan: Plan, cores: Cores, folder: Path, step: Step
) -> tuple[Summary, ...]:
    """Return everybody's medians; takes some ten seconds for each turn.

    Raises:
        ContestantError: when one does not start or does not check signatures.

    """
    step("signing the messages")
    turns: dict[str, list[Turn]] = {contestant.name: [] for contestant in contestants}
    site = Site(free_port(), folder)
    write_router_config(site)
    messages = webhooks(site, plan.webhooks)
    for number in range(1, plan.rounds + 1):
        for contestant in contestants:
            step(f"round {number}: {contestant.name}")
            turns[contestant.name].append(take_turn(contestant, site, messages, plan, cores))
    return tuple(summarise(name, taken) for name, taken in turns.items())
