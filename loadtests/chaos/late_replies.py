"""Late replies: the offline Twilio's phones must have received each of them once, by REST."""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp

from loadtests.chaos.audit import LateReplies
from loadtests.chaos.deployment import Deployment
from loadtests.chaos.twilio_client import MessageExchange
from loadtests.workload.texts import LATE


async def count_late_replies(
    deployment: Deployment, exchanges: Sequence[MessageExchange], *, excused: bool
) -> LateReplies:
    """Count the late replies on the phones.

    After a fallback no late reply is expected, because the fallback's reply may be the only one. A contact
    who gets a late reply has sent one message only.
    """
    late = [exchange for exchange in exchanges if exchange.text is LATE]
    async with aiohttp.ClientSession() as session:
        counts = [await _received(session, deployment, exchange.contact.number) for exchange in late]
    expected = [count for exchange, count in zip(late, counts, strict=True) if not exchange.used_fallback]
    return LateReplies(
        len(expected), sum(count > 0 for count in expected), sum(count > 1 for count in counts), excused
    )


async def _received(session: aiohttp.ClientSession, deployment: Deployment, number: str) -> int:
    async with session.get(f"{deployment.sandbox_url}/sandbox/phones/{number}") as answer:
        answer.raise_for_status()
        return len((await answer.json())["messages"])
