"""Handlers with conversations; each run of a step appends the message's sid to the file named by RUNS."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from sms_router import Conversation, InboundMessage, Reply, keyword, step


def _record_run(message: InboundMessage) -> None:
    with Path(os.environ["RUNS"]).open("a") as runs:
        runs.write(f"{message.sid}\n")


@keyword("ORDER")
async def order(conversation: Conversation, argument: str) -> Reply:
    """Request the size."""
    conversation.state["item"] = argument or "pizza"
    return Reply("Which size?", then="size")


@step("size")
def size(message: InboundMessage, argument: str, conversation: Conversation) -> Reply | str:
    """Complete the order, or request the size again."""
    _record_run(message)
    if argument == "fail":
        raise RuntimeError("no kitchen")
    if argument.upper() not in {"S", "M", "L"}:
        return Reply("S, M or L?", then=size)
    item = conversation.state["item"]
    conversation.end()
    return f"One {item} in {argument.upper()}."


@keyword("ADD")
async def add(message: InboundMessage, argument: str, conversation: Conversation) -> str:
    """Add to a sum, slowly, so that two runs at the same time would lose one of the numbers."""
    _record_run(message)
    total = conversation.state.get("total", 0)
    await asyncio.sleep(0.15)
    conversation.state["total"] = total + int(argument)
    return f"The sum is {total + int(argument)}."


@keyword("ASK")
async def ask(argument: str) -> Reply:
    """Pass the next message to the step that the argument names, else to ``hold``."""
    return Reply("Which file?", then=argument or "hold")


@step("hold")
async def hold(message: InboundMessage, conversation: Conversation) -> Reply:
    """Run until the file named by the message exists."""
    _record_run(message)
    while not Path(message.body).exists():  # noqa: ASYNC240 - a test's handler may look at a file
        await asyncio.sleep(0.01)
    conversation.state["held"] = conversation.state.get("held", 0) + 1
    return Reply(f"Held {conversation.state['held']} times.", then="hold")


@keyword("BIG")
async def big(conversation: Conversation) -> str:
    """Set more state than is stored."""
    conversation.state["all"] = "x" * 5000
    return "Stored."
