"""10,000 senders: memory, and the cost of a selection."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from loadtests.bench import senders
from sms_router.senders.models import RecipientFacts, SelectionRequest
from sms_router.senders.pool import Pool
from sms_router.senders.selection import select

UNREACHED = RecipientFacts(unreachable=frozenset({"12345"}))


@pytest.mark.slow
def test_ten_thousand_senders_take_less_than_ten_megabytes() -> None:
    (figures,) = senders.measure((10_000,), contacts=100, rounds=1)
    assert figures.memory < 10


@pytest.mark.parametrize("facts", [RecipientFacts(), UNREACHED], ids=["short code", "long code"])
def test_a_selection_among_ten_thousand_senders_makes_as_many_calls_as_among_ten(
    facts: RecipientFacts,
) -> None:
    request = senders.requests(1)[0]
    steps = [_calls(senders.service_of(size).pool(), request, facts) for size in (100, 10_000)]
    assert abs(steps[0] - steps[1]) <= 10


def _calls(pool: Pool, request: SelectionRequest, facts: RecipientFacts) -> int:
    """Return how many functions one choice calls, after a first call."""
    select(pool, request, facts)
    return _counted(lambda: select(pool, request, facts))


def _counted(work: Callable[[], object]) -> int:
    calls = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls
