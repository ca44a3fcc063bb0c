"""Limits on real processes: two replicas with two workers each keep one number's rate and cap together."""

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
"""Somebody new each time, so that nobody gets so many replies that the loop guard holds them back."""


async def senders(router: RouterProcess, count: int) -> Counter[str | None]:
    answers = await asyncio.gather(
        *(router.deliver(webhook("HOURS", From=next(CONTACTS))) for _ in range(count))
    )
    return Counter(
        message.get("from") for answer in answers for message in fromstring(answer.body).findall("Message")
    )


async def only_long_codes(router: RouterProcess) -> bool:
    return set(await senders(router, 6)) == {"+14155550100"}


async def test_a_daily_cap_is_kept_together_and_outlives_restarts(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    one, other = start_router(CAP, {"WORKERS": "2"}), start_router(CAP, {"WORKERS": "2"})
    await senders(one, 14)
    await senders(other, 6)
    for router in (one, other):
        await wait_until(partial(only_long_codes, router))
    last = json.loads(one.command("messages", "--json", "--limit", "1").stdout)[0]
    assert last["trail"][0] == "12345: skipped: at its daily cap: 20 segments"
    told = json.loads(one.command("explain", "+14155550123", "HOURS", "--json").stdout)
    assert told["sender"] == "+14155550100"
    assert told["trail"][0]["reason"] == "at its daily cap: 20 segments"
    assert "segments" in one.command("senders").stdout
    (code,) = [
        each for each in json.loads(one.command("senders", "--json").stdout) if each["number"] == "12345"
    ]
    assert code["sent_today"] >= 20
    other.stop()
    other.start()
    await wait_until(lambda: only_long_codes(other))


async def test_a_rate_is_kept_while_redis_is_away(start_router: StartRouter, valkey: PrivateValkey) -> None:
    router = start_router(RATE)
    assert (await senders(router, 1))["12345"] == 1
    assert await only_long_codes(router)
    valkey.kill()
    assert await only_long_codes(router)
    assert "each worker keeps rate limits by itself" in router.log or await logged(router)


async def logged(router: RouterProcess) -> bool:
    async def told() -> bool:
        return "each worker keeps rate limits by itself" in router.log

    await wait_until(told)
    return True


async def test_where_everything_is_over_its_rate_the_reply_leaves_all_the_same(
    start_router: StartRouter,
) -> None:
    every = "".join(
        f'\n[[senders]]\nkind = "{kind}"\nmessages_per_second = 0.01\n'
        for kind in ("short-code", "long-code", "toll-free")
    )
    router = start_router(every)
    assert sum((await senders(router, 12)).values()) == 12
    assert sum((await senders(router, 1)).values()) == 1, "one that comes after all of them"
    last = json.loads(router.command("messages", "--json", "--limit", "1").stdout)[0]
    assert last["trail"][-1].endswith("like all other senders that could be used: Twilio queues the message")


async def test_a_person_keeps_their_number_on_every_replica_before_any_receipt(
    start_router: StartRouter,
) -> None:
    one, other = start_router(), start_router()
    assert one.command("senders", "cordon", "12345", "--reason", "test").returncode == 0
    for router in (one, other):
        await wait_until(partial(only_long_codes, router))
    people = [f"+1303555{number:04}" for number in range(12)]
    first = {person: await answers(one, person) for person in people}
    assert set(first.values()) == {"+14155550100", "+12125550100"}
    for router in (other, one):
        assert {person: await answers(router, person) for person in people} == first


async def answers(router: RouterProcess, person: str) -> str | None:
    answer = await router.deliver(webhook("HOURS", From=person))
    (message,) = fromstring(answer.body).findall("Message")
    return message.get("from")
