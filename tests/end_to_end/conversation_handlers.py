"""Handlers that converse, for the tests of the whole road; each run is written down."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from sms_router import Conversation, InboundMessage, Reply, keyword, step


def _write_down(message: InboundMessage) -> None:
    with Path(os.environ["RUNS"]).open("a") as runs:
        runs.write(f"{message.sid}\n")


@keyword("ORDER")
async def order(conversation: Conversation, argument: str) -> Reply:
    """Ask for the size."""
    conversation.state["item"] = argument or "pizza"
    return Reply("Which size?", then="size")


@step("size")
def size(message: InboundMessage, argument: str, conversation: Conversation) -> Reply | str:
    """Take the size, or ask again."""
    _write_down(message)
    if argument == "fail":
        raise RuntimeError("the kitchen burns")
    if argument.upper() not in {"S", "M", "L"}:
        return Reply("S, M or L?", then=size)
    item = conversation.state["item"]
    conversation.end()
    return f"One {item} in {argument.upper()}."


@keyword("ADD")
async def add(message: InboundMessage, argument: str, conversation: Conversation) -> str:
    """Add to a sum, slowly enough to lose something if another message did the same meanwhile."""
    _write_down(message)
    total = conversation.state.get("total", 0)
    await asyncio.sleep(0.15)
    conversation.state["total"] = total + int(argument)
    return f"The sum is {total + int(argument)}."


@keyword("ASK")
async def ask(argument: str) -> Reply:
    """Have the next message held until the file named by the argument exists."""
    return Reply("Say something.", then=argument or "hold")


@step("hold")
async def hold(message: InboundMessage, conversation: Conversation) -> Reply:
    """Stay at work until the file exists that the person named."""
    _write_down(message)
    while not Path(message.body).exists():  # noqa: ASYNC240 - a test's handler may look at a file
        await asyncio.sleep(0.01)
    conversation.state["held"] = conversation.state.get("held", 0) + 1
    return Reply(f"Held {conversation.state['held']} times.", then="hold")


@keyword("BIG")
async def big(conversation: Conversation) -> str:
    """Keep too much."""
    conversation.state["all"] = "x" * 5000
    return "Kept."
