"""``python -m loadtests.capacity``: let people text a real router, and weigh what Redis keeps of it."""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated
from urllib.parse import urlsplit
from uuid import uuid4

import redis
import typer
from defusedxml.ElementTree import fromstring
from rich.console import Console
from rich.table import Table

from sms_router.membership.snapshot import ServiceProperties, Snapshot
from sms_router.membership.snapshot_store import SnapshotStore
from sms_router.store.redis_py import async_client
from tests.end_to_end.conftest import SENDERS
from tests.end_to_end.running import ACCOUNT, SERVICE, Answer, RunningRouter, webhook, write_configuration
from tests.store.private_valkey import PrivateValkey

AT_ONCE = 20
REPLY = "We are open Monday to Friday, 9 to 5, and on Saturdays until noon. Reply STOP to end."
STATUSES = ("sent", "delivered")

_KIND = re.compile(rb"sms-router:\{[0-9]+\}:([a-z-]+)")

command = typer.Typer(add_completion=False)


@dataclass(slots=True)
class Weight:
    """The keys of one kind."""

    keys: int = 0
    size: int = 0


@command.command()
def capacity(
    *,
    people: Annotated[int, typer.Option(min=10, max=100_000, help="Who texts.")] = 500,
    each: Annotated[int, typer.Option(min=1, max=100, help="How many texts of each.")] = 3,
) -> None:
    """Let people text, have each answer reported as delivered, and weigh every key."""
    with TemporaryDirectory(prefix="sms-capacity-") as name:
        weights, dataset = asyncio.run(_weigh(Path(name), people, each))
    Console().print(_table(weights, dataset, people, people * each))


async def _weigh(folder: Path, people: int, each: int) -> tuple[dict[str, Weight], int]:
    with PrivateValkey(folder / "valkey", appendfsync="everysec") as valkey:
        snapshot = Snapshot(ACCOUNT, SERVICE, SENDERS, ServiceProperties("Test"), {}, time.time(), version=1)
        async with async_client(valkey.url, connect_within=2) as client:
            await SnapshotStore(client).publish(snapshot, snapshot.to_bytes())
        configured = write_configuration(folder / "config")
        (configured / "keywords.toml").write_text(f'[default]\nreply = "{REPLY}"\n')
        router = RunningRouter(configured, valkey.url)
        await asyncio.to_thread(router.start)
        try:
            with valkey.client() as admin:
                before = _dataset(admin)
                await _text(router, [f"+1415{number:07}" for number in range(people) for _ in range(each)])
                return _weights(admin), _dataset(admin) - before
        finally:
            await asyncio.to_thread(router.stop)


async def _text(router: RunningRouter, senders: list[str]) -> None:
    """Deliver a message of each, and the reports on its answer."""
    hands = asyncio.Semaphore(AT_ONCE)

    async def text(sender: str) -> None:
        async with hands:
            answer = await router.deliver(webhook("When are you open on Saturday?", From=sender))
            assert answer.status == 200, answer
            for status in STATUSES:
                await _report(router, answer, sender, status)

    for start in range(0, len(senders), 1000):
        await asyncio.gather(*map(text, senders[start : start + 1000]))


async def _report(router: RunningRouter, answer: Answer, sender: str, status: str) -> None:
    """Tell what became of an answer, where it asks to be told."""
    message = fromstring(answer.text).find("Message")
    assert message is not None, answer
    told = urlsplit(message.get("action") or message.get("statusCallback") or "")
    sid = "SM" + uuid4().hex if status == STATUSES[0] else _SENT[answer.body]
    _SENT[answer.body] = sid
    report = {
        "MessageSid": sid,
        "SmsSid": sid,
        "MessageStatus": status,
        "SmsStatus": status,
        "AccountSid": ACCOUNT,
        "MessagingServiceSid": SERVICE,
        "From": message.get("from", ""),
        "To": sender,
        "ApiVersion": "2010-04-01",
    }
    taken = await router.deliver(report, path=f"{told.path}{f'?{told.query}' if told.query else ''}")
    assert taken.status in {200, 204}, taken


_SENT: dict[bytes, str] = {}
"""The sid of each answer's message, as Twilio would have given it."""


def _dataset(admin: redis.Redis) -> int:
    return int(admin.info("memory")["used_memory_dataset"])


def _weights(admin: redis.Redis) -> dict[str, Weight]:
    weights: defaultdict[str, Weight] = defaultdict(Weight)
    for key in admin.scan_iter(count=1000):
        found = _KIND.match(key)
        weight = weights[found[1].decode() if found else "others"]
        weight.keys += 1
        weight.size += int(admin.memory_usage(key, samples=0) or 0)
    return weights


def _table(weights: dict[str, Weight], dataset: int, people: int, messages: int) -> Table:
    table = Table("keys", "count", "bytes each", "bytes a message", "bytes a person")
    for kind, weight in sorted(weights.items(), key=lambda item: -item[1].size):
        if kind == "others":
            continue
        by_person = kind in {"person", "heard"} or weight.keys == people
        table.add_row(
            kind,
            f"{weight.keys}",
            f"{weight.size / weight.keys:.0f}",
            "" if by_person else f"{weight.size / messages:.0f}",
            f"{weight.size / people:.0f}" if by_person else "",
        )
    table.caption = (
        f"{messages} messages of {people} people: {dataset / messages:.0f} bytes of data a message"
    )
    return table


if __name__ == "__main__":
    command()
