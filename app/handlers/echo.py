"""An example to change or delete: two keywords answered by functions."""

from __future__ import annotations

import time

from sms_router import InboundMessage, Reply, keyword


@keyword("ECHO")
async def echo(message: InboundMessage, argument: str) -> str:
    """Reply with the text, and with the number that got it."""
    return f"You texted {message.recipient}: {argument or 'nothing'}"


@keyword("PING", match="whole")
def ping() -> Reply:
    """Answer from a thread, since this function is not async."""
    return Reply(["pong", f"{time.strftime('%H:%M')} here"])
