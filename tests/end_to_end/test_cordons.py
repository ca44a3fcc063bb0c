"""A cordon on real processes: every worker of every replica passes the short code over, restarts included."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from xml.etree.ElementTree import fromstring

import pytest

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import RouterProcess, webhook
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

CONTACTS = (f"+1415555{number:04}" for number in range(10_000))
"""Somebody new each time, so that nobody gets so many replies that the loop guard holds them back."""


async def senders(router: RouterProcess, count: int = 8) -> set[str | None]:
    """Return which numbers answer, over so many connections that each worker gets some."""
    answers = await asyncio.gather(
        *(router.deliver(webhook("HOURS", From=next(CONTACTS))) for _ in range(count))
    )
    return {
        message.get("from") for answer in answers for message in fromstring(answer.body).findall("Message")
    }


async def test_every_worker_of_every_replica_knows_a_cordon_across_restarts_and_its_release(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    one, other = start_router(environment={"WORKERS": "2"}), start_router(environment={"WORKERS": "2"})
    assert await senders(one) == await senders(other) == {"12345"}
    done = one.command("senders", "cordon", "12345", "--reason", "carrier incident", "--for", "2h")
    assert done.returncode == 0, done.stderr
    for router in (one, other):
        await wait_until(partial(_only, router, "+14155550100"))
    last = json.loads(one.command("messages", "--json", "--limit", "1").stdout)[0]
    assert last["trail"][0].startswith("12345: skipped: cordoned until ")
    assert last["trail"][0].endswith(" UTC: carrier incident")

    other.stop()
    valkey.kill()
    valkey.start()
    other.start()
    assert await senders(other) == {"+14155550100"}
    notices = json.loads((await other.fetch("/readyz")).body)["notices"]
    assert any("12345 is cordoned until" in each for each in notices)

    assert one.command("senders", "release", "12345").returncode == 0
    for router in (one, other):
        await wait_until(partial(_only, router, "12345"))


async def test_a_cordon_ends_by_itself_while_redis_is_away(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_router()
    end = time.time() + 3
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end + 1))
    assert router.command("senders", "cordon", "12345", "--reason", "test", "--until", when).returncode == 0
    await wait_until(lambda: _only(router, "+14155550100"))
    valkey.kill()
    await wait_until(lambda: _only(router, "12345"))
    assert time.time() >= end


async def _only(router: RouterProcess, sender: str) -> bool:
    return await senders(router) == {sender}
