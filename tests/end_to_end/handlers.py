"""Handlers for the tests of the whole road; each run is written down, so that runs can be counted."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from sms_router import InboundMessage, Reply, keyword


def _write_down(message: InboundMessage) -> None:
    with Path(os.environ["RUNS"]).open("a") as runs:
        runs.write(f"{message.sid}\n")


@keyword("COUNT")
async def count(message: InboundMessage, argument: str) -> str:
    """Take as many seconds as the argument says."""
    _write_down(message)
    await asyncio.sleep(float(argument or 0))
    return f"counted by {os.getpid()} at {time.time_ns()}"


@keyword("HOLD")
async def hold(message: InboundMessage, argument: str) -> str:
    """Stay at work until the file named by the argument exists."""
    _write_down(message)
    while not Path(argument).exists():  # noqa: ASYNC240 - a test's handler may look at a file
        await asyncio.sleep(0.01)
    return "held and let go"


@keyword("THREAD")
def thread(message: InboundMessage) -> str:
    """Answer from a plain function."""
    _write_down(message)
    time.sleep(0.05)
    return "from a thread"


@keyword("BOOM")
async def boom(message: InboundMessage) -> str:
    """Fail with something that nobody must see."""
    _write_down(message)
    raise RuntimeError("secret-of-the-house")


@keyword("LEAVE")
def leave() -> str:
    """Try to end the worker."""
    raise SystemExit(3)


@keyword("PICTURES")
async def pictures() -> Reply:
    """Answer with several messages and a picture."""
    return Reply(["one & two", "<three>"], media=["https://example.com/a.png?b=1&c=2"])


@keyword("WISH")
async def wish() -> Reply:
    """Ask for a long code by name."""
    return Reply("as you wish", sender="+12125550100")


@keyword("LATE BOOM", match="whole")
async def late_boom(message: InboundMessage) -> str:
    """Fail after the deadline of these tests."""
    _write_down(message)
    await asyncio.sleep(1)
    raise RuntimeError("secret-of-the-house")


@keyword("MEND")
async def mend(message: InboundMessage, argument: str) -> str:
    """Fail until the file named by the argument exists."""
    _write_down(message)
    if not Path(argument).exists():  # noqa: ASYNC240 - a test's handler may look at a file
        raise RuntimeError("not mended yet")
    return "mended"


@keyword("LOADED")
def loaded(argument: str) -> str:
    """Write the names of all modules that this worker holds into a file."""
    Path(argument).write_text("\n".join(sys.modules))
    return "written down"
