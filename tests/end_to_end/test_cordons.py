"""Cordons with several routers: each worker of each replica skips the sender, also after a restart."""

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
"""A new contact for each message, so that the loop guard mutes none."""


async def senders(router: RouterProcess, count: int = 8) -> set[str | None]:
    """Return the senders of the replies to ``count`` messages, each over its own connection."""
    answers = await asyncio.gather(
        *(router.deliver(webhook("HOURS", From=next(CONTACTS))) for _ in range(count))
    )
    return {
        message.get("from") for answer in answers for message in fromstring(answer.body).findall("Message")
    }


async def test_a_cordon_and_its_release_reach_every_worker_of_every_replica(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    first, second = start_router(environment={"WORKERS": "2"}), start_router(environment={"WORKERS": "2"})
    assert await senders(first) == await senders(second) == {"12345"}
    result = first.command("senders", "cordon", "12345", "--reason", "carrier incident", "--for", "2h")
    assert result.returncode == 0, result.stderr
    for router in (first, second):
        await wait_until(partial(_is_only_sender, router, "+14155550100"))
    last = json.loads(first.command("messages", "--json", "--limit", "1").stdout)[0]
    assert last["trail"][0].startswith("12345: skipped: cordoned until ")
    assert last["trail"][0].endswith(" UTC: carrier incident")

    second.stop()
    valkey.kill()
    valkey.start()
    second.start()
    assert await senders(second) == {"+14155550100"}
    notices = json.loads((await second.fetch("/readyz")).body)["notices"]
    assert any("12345 is cordoned until" in notice for notice in notices)

    assert first.command("senders", "release", "12345").returncode == 0
    for router in (first, second):
        await wait_until(partial(_is_only_sender, router, "12345"))


async def test_a_cordon_ends_at_its_time_while_redis_is_down(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_router()
    end = time.time() + 3
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end + 1))
    assert router.command("senders", "cordon", "12345", "--reason", "test", "--until", until).returncode == 0
    await wait_until(lambda: _is_only_sender(router, "+14155550100"))
    valkey.kill()
    await wait_until(lambda: _is_only_sender(router, "12345"))
    assert time.time() >= end


async def _is_only_sender(router: RouterProcess, sender: str) -> bool:
    return await senders(router) == {sender}
