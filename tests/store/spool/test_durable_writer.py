from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
import redis

from sms_router.store.keys import bucket_of
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.spool.files import SpoolEntry
from sms_router.store.spool.spool import Spool
from sms_router.store.store import Store
from tests.store.calls import commit
from tests.store.private_valkey import PrivateValkey

TIMEOUT = 20
BUCKET = bucket_of("+14155550100")


@dataclass(frozen=True, slots=True)
class WriterFixture:
    """A writer over a store and a spool; each completed replay puts an item into ``replayed``."""

    store: Store
    spool: Spool
    writer: DurableWriter
    replayed: asyncio.Queue[None]

    async def commit(self, reference: str) -> object:
        return await self.writer.write(commit(BUCKET, reference))

    async def wait_until_empty(self) -> None:
        async with asyncio.timeout(TIMEOUT):
            while self.spool.size:
                await self.replayed.get()


@contextlib.asynccontextmanager
async def durable_writer(url: str, folder: Path) -> AsyncIterator[WriterFixture]:
    store, spool = Store(url), Spool(folder)
    writer, replayed = DurableWriter(store, spool), asyncio.Queue[None]()

    async def replay() -> None:
        await writer.replay()
        replayed.put_nowait(None)

    await store.start(replay)
    try:
        yield WriterFixture(store, spool, writer, replayed)
    finally:
        await writer.aclose()
        await store.aclose()


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def journaled(client: redis.Redis) -> list[str]:
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(BUCKET.journal))
    return sorted(fields[b"message"].decode() for _, fields in entries)


async def test_a_write_is_run_at_once_while_redis_serves(valkey_url: str, tmp_path: Path) -> None:
    async with durable_writer(valkey_url, tmp_path) as fixture:
        assert await fixture.commit("AC/SM") == [1]
        assert fixture.spool.size == 0


async def test_writes_of_an_outage_are_in_redis_once_after_it(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    names = [f"AC/SM{number:04}" for number in range(1000)]
    async with durable_writer(private_valkey.url, tmp_path) as fixture:
        await fixture.commit("AC/0before")
        private_valkey.kill()
        assert await asyncio.gather(*map(fixture.commit, names)) == [None] * len(names)
        assert fixture.spool.size == len(names)
        await asyncio.to_thread(private_valkey.start)
        await fixture.wait_until_empty()
        with private_valkey.client() as client:
            assert journaled(client) == ["AC/0before", *names]
        assert fixture.spool.dropped == 0


async def test_writes_survive_an_outage_of_redis_and_of_the_router(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    private_valkey.kill()
    async with durable_writer(private_valkey.url, tmp_path) as fixture:
        await fixture.commit("AC/SM")
    await asyncio.to_thread(private_valkey.start)
    async with durable_writer(private_valkey.url, tmp_path) as fixture:
        async with asyncio.timeout(TIMEOUT):
            await fixture.replayed.get()
        with private_valkey.client() as client:
            assert journaled(client) == ["AC/SM"]


async def test_a_replay_is_complete_after_several_failures_of_redis(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    names = [f"AC/SM{number:04}" for number in range(2000)]
    async with durable_writer(private_valkey.url, tmp_path) as fixture:
        private_valkey.kill()
        await asyncio.gather(*map(fixture.commit, names))
        await fixture.spool.flush()
        for _ in range(3):
            await asyncio.to_thread(private_valkey.start)
            async with asyncio.timeout(TIMEOUT):
                while fixture.spool.size == len(names):
                    await asyncio.sleep(0)
            await asyncio.to_thread(private_valkey.kill)
        await asyncio.to_thread(private_valkey.start)
        await fixture.wait_until_empty()
        with private_valkey.client() as client:
            assert journaled(client) == names


async def test_what_a_full_redis_refuses_is_replayed_when_it_has_room(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    async with durable_writer(private_valkey.url, tmp_path) as fixture:
        with private_valkey.client() as admin:
            admin.config_set("maxmemory", "1mb")
            assert await fixture.commit("AC/SM") is None
            admin.config_set("maxmemory", 0)
            await fixture.wait_until_empty()
            assert journaled(admin) == ["AC/SM"]


async def test_a_write_that_can_never_run_stops_no_other(
    valkey_url: str, valkey: redis.Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    valkey.set(BUCKET.message("AC/bad"), "somebody else's")
    async with durable_writer(valkey_url, tmp_path) as fixture:
        fixture.spool.add(SpoolEntry("a script of tomorrow", (b"key",), ()))
        for name in ("AC/1", "AC/bad", "AC/2"):
            fixture.writer.spool(commit(BUCKET, name))
        await fixture.wait_until_empty()
        assert journaled(valkey) == ["AC/1", "AC/2"]
        assert (fixture.spool.size, fixture.spool.dropped) == (0, 2)
    assert caplog.text.count("is dropped") == 2


async def test_an_unreadable_entry_stops_no_other(
    valkey_url: str, valkey: redis.Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dead = Spool(tmp_path)
    for name in ("AC/1", "AC/bad", "AC/2"):
        dead.add(SpoolEntry.of(commit(BUCKET, name)))
    await dead.aclose()
    with contextlib.closing(sqlite3.connect(files(tmp_path)[0])) as connection, connection:
        connection.execute("UPDATE entries SET entry = substr(entry, 1, 20) WHERE id = 2")
    async with durable_writer(valkey_url, tmp_path) as fixture:
        await fixture.replayed.get()
        assert journaled(valkey) == ["AC/1", "AC/2"]
        assert (fixture.spool.size, fixture.spool.dropped) == (0, 1)
    assert caplog.text.count("is dropped") == 1
    assert files(tmp_path) == []
