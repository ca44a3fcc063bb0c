"""Rate limits and daily caps: two replicas with two workers each share the figures of a sender."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from functools import partial
from xml.etree.ElementTree import fromstring

import pytest

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import RouterProcess, webhook
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

CAP = """
[[senders]]
number = "12345"
daily_cap = 20
"""

RATE = """
[[senders]]
kind = "short-code"
messages_per_second = 0.01
"""

CONTACTS = (f"+1415555{number:04}" for number in range(10_000))
"""A new contact for each message, so that the loop guard mutes none."""


async def senders(router: RouterProcess, count: int) -> Counter[str | None]:
    answers = await asyncio.gather(
        *(router.deliver(webhook("HOURS", From=next(CONTACTS))) for _ in range(count))
    )
    return Counter(
        message.get("from") for answer in answers for message in fromstring(answer.body).findall("Message")
    )


async def is_only_long_code(router: RouterProcess) -> bool:
    return set(await senders(router, 6)) == {"+14155550100"}


async def test_a_daily_cap_applies_to_all_workers_together_and_after_a_restart(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    first, second = start_router(CAP, {"WORKERS": "2"}), start_router(CAP, {"WORKERS": "2"})
    await senders(first, 14)
    await senders(second, 6)
    for router in (first, second):
        await wait_until(partial(is_only_long_code, router))
    last = json.loads(first.command("messages", "--json", "--limit", "1").stdout)[0]
    assert last["trail"][0] == "12345: skipped: at its daily cap: 20 segments"
    explanation = json.loads(first.command("explain", "+14155550123", "HOURS", "--json").stdout)
    assert explanation["sender"] == "+14155550100"
    assert explanation["trail"][0]["reason"] == "at its daily cap: 20 segments"
    assert "segments" in first.command("senders").stdout
    listed = json.loads(first.command("senders", "--json").stdout)
    (short_code,) = [sender for sender in listed if sender["number"] == "12345"]
    assert short_code["sent_today"] >= 20
    second.stop()
    second.start()
    await wait_until(lambda: is_only_long_code(second))


async def test_a_rate_limit_applies_while_redis_is_down(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_router(RATE)
    assert (await senders(router, 1))["12345"] == 1
    assert await is_only_long_code(router)
    valkey.kill()
    assert await is_only_long_code(router)
    await wait_until(lambda: "each worker keeps rate limits by itself" in router.log)


async def test_a_reply_is_sent_when_every_sender_is_over_its_rate(
    start_router: StartRouter,
) -> None:
    limits = "".join(
        f'\n[[senders]]\nkind = "{kind}"\nmessages_per_second = 0.01\n'
        for kind in ("short-code", "long-code", "toll-free")
    )
    router = start_router(limits)
    assert sum((await senders(router, 12)).values()) == 12
    assert sum((await senders(router, 1)).values()) == 1, "it comes after the other replies"
    last = json.loads(router.command("messages", "--json", "--limit", "1").stdout)[0]
    assert last["trail"][-1].endswith("like all other senders that could be used: Twilio queues the message")


async def test_a_contact_keeps_its_sender_in_every_replica_before_any_receipt(
    start_router: StartRouter,
) -> None:
    first, second = start_router(), start_router()
    assert first.command("senders", "cordon", "12345", "--reason", "test").returncode == 0
    for router in (first, second):
        await wait_until(partial(is_only_long_code, router))
    contacts = [f"+1303555{number:04}" for number in range(12)]
    chosen = {contact: await reply_sender(first, contact) for contact in contacts}
    assert set(chosen.values()) == {"+14155550100", "+12125550100"}
    for router in (second, first):
        assert {contact: await reply_sender(router, contact) for contact in contacts} == chosen


async def reply_sender(router: RouterProcess, contact: str) -> str | None:
    answer = await router.deliver(webhook("HOURS", From=contact))
    (message,) = fromstring(answer.body).findall("Message")
    return message.get("from")
