"""The handlers of the router under test: fast, slow, in threads, failing, hanging."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from uuid import uuid4

from sms_router import InboundMessage, keyword

HANG_SECONDS = 20.0
"""Longer than Twilio waits."""


RUNS = os.environ.get("TICKET_RUNS")
"""The file that gets the sid of the message in each run of `ticket`."""


@keyword("TICKET")
async def ticket(argument: str, message: InboundMessage) -> str:
    """Reply with another text each time, after the seconds in the argument."""
    if RUNS is not None:
        _note_run(RUNS, message.sid)
    if argument:
        await asyncio.sleep(float(argument))
    return f"Your ticket is {uuid4().hex}."


def _note_run(path: str, sid: str) -> None:
    with Path(path).open("a") as runs:
        runs.write(f"{sid}\n")


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
