"""Handlers of the end-to-end tests; each run appends the message's sid to the file named by RUNS."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from sms_router import InboundMessage, Reply, keyword


def _record_run(message: InboundMessage) -> None:
    with Path(os.environ["RUNS"]).open("a") as runs:
        runs.write(f"{message.sid}\n")


@keyword("COUNT")
async def count(message: InboundMessage, argument: str) -> str:
    """Reply after the seconds in the argument."""
    _record_run(message)
    await asyncio.sleep(float(argument or 0))
    return f"run by {os.getpid()} at {time.time_ns()}"


@keyword("HOLD")
async def hold(message: InboundMessage, argument: str) -> str:
    """Run until the file named by the argument exists."""
    _record_run(message)
    while not Path(argument).exists():  # noqa: ASYNC240 - a test's handler may look at a file
        await asyncio.sleep(0.01)
    return "released"


@keyword("THREAD")
def thread(message: InboundMessage) -> str:
    """Reply from a function that is not async."""
    _record_run(message)
    time.sleep(0.05)
    return "from a thread"


@keyword("BOOM")
async def boom(message: InboundMessage) -> str:
    """Fail with a text that must not be sent to a contact."""
    _record_run(message)
    raise RuntimeError("secret-of-the-handler")


@keyword("LEAVE")
def leave() -> str:
    """Raise SystemExit, which must not end the worker."""
    raise SystemExit(3)


@keyword("INTERRUPT")
async def interrupt() -> str:
    """Raise KeyboardInterrupt on the event loop, which must not end the worker."""
    raise KeyboardInterrupt


@keyword("PICTURES")
async def pictures() -> Reply:
    """Reply with two messages, the first with a picture."""
    return Reply(["one & two", "<three>"], media=["https://example.com/a.png?b=1&c=2"])


@keyword("SENDER")
async def named_sender() -> Reply:
    """Reply from a long code that it names."""
    return Reply("from New York", sender="+12125550100")


@keyword("LATE BOOM", match="whole")
async def late_boom(message: InboundMessage) -> str:
    """Fail after the short inline deadline of these tests."""
    _record_run(message)
    await asyncio.sleep(1)
    raise RuntimeError("secret-of-the-handler")


@keyword("REPAIR")
async def repair(message: InboundMessage, argument: str) -> str:
    """Fail until the file named by the argument exists."""
    _record_run(message)
    if not Path(argument).exists():  # noqa: ASYNC240 - a test's handler may look at a file
        raise RuntimeError("not repaired yet")
    return "repaired"


@keyword("LOADED")
def loaded(argument: str) -> str:
    """Write the names of all modules that this worker has loaded into the file."""
    Path(argument).write_text("\n".join(sys.modules))
    return "written"
