"""Waiting for what is about to come: until it has, and not for a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LONGEST = 30.0
"""Seconds; what has not come by then does not come."""


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition is true; fail after a bounded time."""
    async with asyncio.timeout(LONGEST):
        while not condition():
            await asyncio.sleep(0.01)


def wait_until(condition: Callable[[], object]) -> None:
    """Do the same where no loop runs; a condition that takes its time counts with it."""
    give_up = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < give_up, f"it has not come to that in {LONGEST:g} seconds"
        time.sleep(0.02)
