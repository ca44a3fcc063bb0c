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

LONG = 20
PERSON = bucket_of("+14155550100")


@dataclass(frozen=True, slots=True)
class Desk:
    """A journal with its two places, and word of each replay that came to its end."""

    store: Store
    spool: Spool
    journal: DurableWriter
    replayed: asyncio.Queue[None]

    async def commit(self, reference: str) -> object:
        return await self.journal.write(commit(PERSON, reference))

    async def until_nothing_waits(self) -> None:
        async with asyncio.timeout(LONG):
            while self.spool.size:
                await self.replayed.get()


@contextlib.asynccontextmanager
async def desk(url: str, folder: Path) -> AsyncIterator[Desk]:
    store, spool = Store(url), Spool(folder)
    journal, replayed = DurableWriter(store, spool), asyncio.Queue[None]()

    async def replay() -> None:
        await journal.replay()
        replayed.put_nowait(None)

    await store.start(replay)
    try:
        yield Desk(store, spool, journal, replayed)
    finally:
        await journal.aclose()
        await store.aclose()


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def journaled(client: redis.Redis) -> list[str]:
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(PERSON.journal))
    return sorted(fields[b"message"].decode() for _, fields in entries)


async def test_a_step_is_taken_at_once_while_redis_serves(valkey_url: str, tmp_path: Path) -> None:
    async with desk(valkey_url, tmp_path) as at:
        assert await at.commit("AC/SM") == [1]
        assert at.spool.size == 0


async def test_steps_taken_during_an_outage_are_all_in_redis_after_it_once(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    names = [f"AC/SM{number:04}" for number in range(1000)]
    async with desk(private_valkey.url, tmp_path) as at:
        await at.commit("AC/0before")
        private_valkey.kill()
        assert await asyncio.gather(*map(at.commit, names)) == [None] * len(names)
        assert at.spool.size == len(names)
        await asyncio.to_thread(private_valkey.start)
        await at.until_nothing_waits()
        with private_valkey.client() as client:
            assert journaled(client) == ["AC/0before", *names]
        assert at.spool.dropped == 0


async def test_steps_survive_an_outage_of_redis_and_of_the_router(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    private_valkey.kill()
    async with desk(private_valkey.url, tmp_path) as at:
        await at.commit("AC/SM")
    await asyncio.to_thread(private_valkey.start)
    async with desk(private_valkey.url, tmp_path) as at:
        async with asyncio.timeout(LONG):
            await at.replayed.get()
        with private_valkey.client() as client:
            assert journaled(client) == ["AC/SM"]


async def test_redis_that_fails_again_and_again_during_the_replay_gets_all_of_it(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    names = [f"AC/SM{number:04}" for number in range(2000)]
    async with desk(private_valkey.url, tmp_path) as at:
        private_valkey.kill()
        await asyncio.gather(*map(at.commit, names))
        await at.spool.flush()
        for _ in range(3):
            await asyncio.to_thread(private_valkey.start)
            async with asyncio.timeout(LONG):
                while at.spool.size == len(names):
                    await asyncio.sleep(0)
            await asyncio.to_thread(private_valkey.kill)
        await asyncio.to_thread(private_valkey.start)
        await at.until_nothing_waits()
        with private_valkey.client() as client:
            assert journaled(client) == names


async def test_what_a_full_redis_refuses_is_replayed_when_it_has_room(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    async with desk(private_valkey.url, tmp_path) as at:
        with private_valkey.client() as admin:
            admin.config_set("maxmemory", "1mb")
            assert await at.commit("AC/SM") is None
            admin.config_set("maxmemory", 0)
            await at.until_nothing_waits()
            assert journaled(admin) == ["AC/SM"]


async def test_a_step_that_can_never_be_taken_holds_up_no_other(
    valkey_url: str, valkey: redis.Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    valkey.set(PERSON.message("AC/bad"), "somebody else's")
    async with desk(valkey_url, tmp_path) as at:
        at.spool.add(SpoolEntry("a script of tomorrow", (b"key",), ()))
        for name in ("AC/1", "AC/bad", "AC/2"):
            at.journal.spool(commit(PERSON, name))
        await at.until_nothing_waits()
        assert journaled(valkey) == ["AC/1", "AC/2"]
        assert (at.spool.size, at.spool.dropped) == (0, 2)
    assert caplog.text.count("given up") == 2


async def test_an_unreadable_entry_holds_up_no_other(
    valkey_url: str, valkey: redis.Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dead = Spool(tmp_path)
    for name in ("AC/1", "AC/bad", "AC/2"):
        dead.add(SpoolEntry.of(commit(PERSON, name)))
    await dead.aclose()
    with contextlib.closing(sqlite3.connect(files(tmp_path)[0])) as connection, connection:
        connection.execute("UPDATE entries SET entry = substr(entry, 1, 20) WHERE id = 2")
    async with desk(valkey_url, tmp_path) as at:
        await at.replayed.get()
        assert journaled(valkey) == ["AC/1", "AC/2"]
        assert (at.spool.size, at.spool.dropped) == (0, 1)
    assert caplog.text.count("given up") == 1
    assert files(tmp_path) == []
