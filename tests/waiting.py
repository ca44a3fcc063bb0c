"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable

TIMEOUT = 30.0
"""Seconds after which a wait fails."""


async def wait_until(
    condition: Callable[[], object] | Callable[[], Awaitable[object]], *, seconds: float = TIMEOUT
) -> None:
    """Wait until a condition is true; it may be async."""
    async with asyncio.timeout(seconds):
        while True:
            result = condition()
            if await result if isawaitable(result) else result:
                return
            await asyncio.sleep(0.01)


def wait_until_blocking(condition: Callable[[], object], *ignored: type[Exception]) -> None:
    """Wait until a condition is true, without an event loop; it may raise what is ``ignored``."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        with contextlib.suppress(*ignored):
            if condition():
                return
        assert time.monotonic() < deadline, f"the condition is not true after {TIMEOUT:g} seconds"
        time.sleep(0.02)
