"""A later version of `conversation_handlers`: one step has another name, one is new, and others are gone."""

from __future__ import annotations

from sms_router import Conversation, Reply, keyword, step


@keyword("ORDER")
async def order(conversation: Conversation, argument: str) -> Reply:
    conversation.state["item"] = argument or "pizza"
    return Reply("Which street?", then="street")


@step("street")
async def ask_for_size() -> Reply:
    return Reply("How large?", then="diameter")


@step("diameter", was=["size"])
async def complete_order(conversation: Conversation, argument: str) -> str:
    item = conversation.state["item"]
    conversation.end()
    return f"New: one {item} in {argument.upper()}."
