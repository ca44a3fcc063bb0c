"""The parts of workers around the inbox: a store, a journal with its spool, and the inbox."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sms_router.delivery.entry import OutboxEntry
from sms_router.routing.inbox.inbox import Inbox
from sms_router.routing.opt_outs.evidence import Event, Evidence, How
from sms_router.store.keys import ANSWERED_CHANNEL
from sms_router.store.redis_py import async_client, subscribed
from sms_router.store.resilient_connection import Observe, unobserved
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.spool.spool import Spool
from sms_router.store.store import Store

DAYS = 1.0
STOP, START = Evidence(Event.STOP, How.KEYWORD, "STOP"), Evidence(Event.START, How.KEYWORD, "START")


class RecordingSender:
    """Records the messages that it should send; without capacity it leaves them in the outbox."""

    def __init__(self, *, has_room: bool = False) -> None:
        self.has_room = has_room
        self.sent: list[OutboxEntry] = []

    def send(self, entries: Sequence[OutboxEntry]) -> None:
        self.sent += entries

    def wake(self, contact: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Worker:
    store: Store
    spool: Spool
    journal: DurableWriter
    inbox: Inbox


@contextlib.asynccontextmanager
async def worker(
    url: str, folder: Path, lease: float = 3.0, observe: Observe = unobserved
) -> AsyncIterator[Worker]:
    """Run one worker; its renewals stop with ``inbox.aclose()`` or at the end."""
    store, spool = Store(url, observe), Spool(folder)
    journal = DurableWriter(store, spool)
    inbox = Inbox(store, journal, DAYS, lease)
    await store.start(journal.replay)
    inbox.start()
    try:
        yield Worker(store, spool, journal, inbox)
    finally:
        await inbox.aclose()
        await store.aclose()
        await journal.aclose()


@contextlib.asynccontextmanager
async def listening(url: str, *workers: Worker) -> AsyncIterator[None]:
    """Pass what is published to the workers, as the application does."""

    async def listen() -> None:
        async for message in channel.listen():
            for one in workers:
                one.inbox.wake(message["data"].decode())

    async with (
        async_client(url, connect_within=2) as client,
        subscribed(client, ANSWERED_CHANNEL) as channel,
    ):
        task = asyncio.create_task(listen())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
