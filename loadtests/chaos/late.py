"""What phones got by REST: each late answer once."""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp

from loadtests.chaos.audit import Late
from loadtests.chaos.site import Site
from loadtests.chaos.twilio import Exchange
from loadtests.crowd.texts import LATE


async def look_at_phones(site: Site, exchanges: Sequence[Exchange], *, excused: bool) -> Late:
    """Count the late answers on the offline Twilio's phones.

    One whose message went to the fallback is not due: its answer may be the fallback's. Who gets a
    late answer has sent one message only.
    """
    late = [exchange for exchange in exchanges if exchange.text is LATE]
    async with aiohttp.ClientSession() as session:
        counts = [await _received(session, site, exchange.person.number) for exchange in late]
    due = [count for exchange, count in zip(late, counts, strict=True) if not exchange.fell_back]
    return Late(len(due), sum(count > 0 for count in due), sum(count > 1 for count in counts), excused)


async def _received(session: aiohttp.ClientSession, site: Site, number: str) -> int:
    async with session.get(f"{site.sandbox_url}/sandbox/phones/{number}") as answer:
        answer.raise_for_status()
        return len((await answer.json())["messages"])
