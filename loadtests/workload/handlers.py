"""The handlers of the router under test: fast, slow, in threads, failing, hanging."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

from sms_router import keyword

HANG_SECONDS = 20.0
"""Longer than Twilio waits."""


@keyword("TICKET")
async def ticket(argument: str) -> str:
    """Reply with another text each time, after as many seconds as the argument says."""
    if argument:
        await asyncio.sleep(float(argument))
    return f"Your ticket is {uuid4().hex}."


@keyword("STAMP")
def stamp() -> str:
    """Do the same in a thread."""
    return f"Your stamp is {uuid4().hex}."


@keyword("BREAK")
async def fail() -> str:
    """Raise an exception."""
    raise RuntimeError("broken on purpose")


@keyword("HANG")
async def hang() -> None:
    """Take longer than Twilio waits."""
    await asyncio.sleep(HANG_SECONDS)


@keyword("BLOCK")
def block() -> None:
    """Do the same in a thread."""
    time.sleep(HANG_SECONDS)
