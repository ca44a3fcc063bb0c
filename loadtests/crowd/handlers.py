"""The handlers that the router under test runs: quick, slow, in threads, broken, hanging."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

from sms_router import keyword

LONG = 20.0
"""Seconds that a hanging handler takes: longer than Twilio waits."""


@keyword("TICKET")
async def ticket(argument: str) -> str:
    """Answer differently each time it runs, after as many seconds as the argument says."""
    if argument:
        await asyncio.sleep(float(argument))
    return f"Your ticket is {uuid4().hex}."


@keyword("STAMP")
def stamp() -> str:
    """Do the same in a thread."""
    return f"Your stamp is {uuid4().hex}."


@keyword("BREAK")
async def broken() -> str:
    """Fail."""
    raise RuntimeError("broken on purpose")


@keyword("HANG")
async def hang() -> None:
    """Take longer than anybody waits."""
    await asyncio.sleep(LONG)


@keyword("BLOCK")
def block() -> None:
    """Do the same in a thread."""
    time.sleep(LONG)
