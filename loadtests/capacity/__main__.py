"""``python -m loadtests.capacity``: send messages to a real router, and measure the keys in Redis."""

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
from tests.end_to_end.router_process import (
    ACCOUNT,
    SERVICE,
    HttpResponse,
    RouterProcess,
    webhook,
    write_configuration,
)
from tests.store.private_valkey import PrivateValkey

MAX_CONCURRENT = 20
REPLY = "We are open Monday to Friday, 9 to 5, and on Saturdays until noon. Reply STOP to end."
STATUSES = ("sent", "delivered")
LOOP_GUARD = "[loop_guard]\nreplies = 30\n"
"""The default, which the configuration of the tests switches off."""

_KIND = re.compile(rb"sms-router:\{[0-9]+\}:([a-z-]+)")

command = typer.Typer(add_completion=False)


@dataclass(slots=True)
class KeyUsage:
    """The keys of one kind, and their bytes."""

    keys: int = 0
    size: int = 0


@command.command()
def capacity(
    *,
    contacts: Annotated[int, typer.Option(min=10, max=100_000, help="Contacts.")] = 500,
    per_contact: Annotated[int, typer.Option(min=1, max=100, help="Messages of each contact.")] = 3,
) -> None:
    """Send messages, report each reply as delivered, and measure each key."""
    with TemporaryDirectory(prefix="sms-capacity-") as name:
        usages, dataset = asyncio.run(_measure(Path(name), contacts, per_contact))
    Console().print(_table(usages, dataset, contacts, contacts * per_contact))


async def _measure(folder: Path, contacts: int, per_contact: int) -> tuple[dict[str, KeyUsage], int]:
    with PrivateValkey(folder / "valkey", appendfsync="everysec") as valkey:
        snapshot = Snapshot(ACCOUNT, SERVICE, SENDERS, ServiceProperties("Test"), {}, time.time(), version=1)
        async with async_client(valkey.url, connect_within=2) as client:
            await SnapshotStore(client).publish(snapshot, snapshot.to_bytes())
        configured = write_configuration(folder / "config", LOOP_GUARD)
        (configured / "keywords.toml").write_text(f'[default]\nreply = "{REPLY}"\n')
        router = RouterProcess(configured, valkey.url)
        await asyncio.to_thread(router.start)
        try:
            with valkey.client() as admin:
                before = _dataset(admin)
                await _send(
                    router, [f"+1415{number:07}" for number in range(contacts) for _ in range(per_contact)]
                )
                return _key_usages(admin), _dataset(admin) - before
        finally:
            await asyncio.to_thread(router.stop)


async def _send(router: RouterProcess, senders: list[str]) -> None:
    """Deliver a message of each contact, and the status callbacks of the reply."""
    slots = asyncio.Semaphore(MAX_CONCURRENT)

    async def send(sender: str) -> None:
        async with slots:
            answer = await router.deliver(webhook("When are you open on Saturday?", From=sender))
            assert answer.status == 200, answer
            for status in STATUSES:
                await _report_status(router, answer, sender, status)

    for start in range(0, len(senders), 1000):
        await asyncio.gather(*map(send, senders[start : start + 1000]))


async def _report_status(router: RouterProcess, answer: HttpResponse, sender: str, status: str) -> None:
    """Send a status callback of a reply to the URL that it names."""
    message = fromstring(answer.text).find("Message")
    assert message is not None, answer
    url = urlsplit(message.get("action") or message.get("statusCallback") or "")
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
    status_answer = await router.deliver(report, path=f"{url.path}{f'?{url.query}' if url.query else ''}")
    assert status_answer.status in {200, 204}, status_answer


_SENT: dict[bytes, str] = {}
"""The sid of each reply."""


def _dataset(admin: redis.Redis) -> int:
    return int(admin.info("memory")["used_memory_dataset"])


def _key_usages(admin: redis.Redis) -> dict[str, KeyUsage]:
    usages: defaultdict[str, KeyUsage] = defaultdict(KeyUsage)
    for key in admin.scan_iter(count=1000):
        kind = _KIND.match(key)
        usage = usages[kind[1].decode() if kind else "others"]
        usage.keys += 1
        usage.size += int(admin.memory_usage(key, samples=0) or 0)
    return usages


def _table(usages: dict[str, KeyUsage], dataset: int, contacts: int, messages: int) -> Table:
    table = Table("keys", "count", "bytes each", "bytes per message", "bytes per contact")
    for kind, usage in sorted(usages.items(), key=lambda item: -item[1].size):
        if kind == "others":
            continue
        per_contact = kind in {"contact", "last-delivery"} or usage.keys == contacts
        table.add_row(
            kind,
            f"{usage.keys}",
            f"{usage.size / usage.keys:.0f}",
            "" if per_contact else f"{usage.size / messages:.0f}",
            f"{usage.size / contacts:.0f}" if per_contact else "",
        )
    table.caption = (
        f"{messages} messages of {contacts} contacts: {dataset / messages:.0f} bytes of data per message"
    )
    return table


if __name__ == "__main__":
    command()
