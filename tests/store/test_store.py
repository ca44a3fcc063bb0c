"""The store on every kind of Redis, and what is particular to Sentinels."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Iterator
from pathlib import Path
from unittest.mock import ANY

import pytest
import redis

from sms_router.store.connection import RedisReply
from sms_router.store.errors import ScriptFailedError, StoreUnavailableError
from sms_router.store.keys import ALL_BUCKETS, Bucket
from sms_router.store.redis_py import async_client, subscribed, sync_client
from sms_router.store.resilient_connection import Run
from sms_router.store.store import Store
from tests.store.calls import claim, note
from tests.store.private_sentinels import MASTER, PrivateSentinels
from tests.store.private_valkey import PrivateValkey
from tests.store.processes import ServerProcess
from tests.store.shared_stores import EVERY_KIND, SharedStores, started
from tests.waiting import wait_until

LONG = 30


@pytest.fixture(params=EVERY_KIND)
def shared_server(request: pytest.FixtureRequest, stores: SharedStores) -> str:
    return stores.url(request.param)


@pytest.fixture
def sentinels() -> Iterator[PrivateSentinels]:
    with tempfile.TemporaryDirectory(prefix="sentinel-") as name, PrivateSentinels(Path(name)) as running:
        yield running


def run_claim(
    store: Store, bucket: Bucket = ALL_BUCKETS[0], reference: str = "AC/SM"
) -> Awaitable[RedisReply]:
    return store.run(claim(bucket, reference))


async def test_scripts_run_in_every_bucket_after_a_flush_too(store: Store, valkey: redis.Redis) -> None:
    for _ in range(2):
        assert (
            await asyncio.gather(*(run_claim(store, each) for each in ALL_BUCKETS)) == [[b"claimed", 1]] * 64
        )
        valkey.flushdb()
        valkey.script_flush()
    assert store.error is None


async def test_a_script_that_fails_on_its_keys_is_no_outage(store: Store, valkey: redis.Redis) -> None:
    bucket = ALL_BUCKETS[0]
    valkey.set(bucket.message("AC/SM"), "somebody else's")
    with pytest.raises(ScriptFailedError, match="WRONGTYPE"):
        await run_claim(store)
    assert store.error is None


async def test_annotations_of_many_callers_are_all_stored(store: Store, valkey: redis.Redis) -> None:
    for bucket in ALL_BUCKETS[:4]:
        record = bucket.message("AC/SM")
        valkey.hset(record, "answer", "x")
        notes = (store.run(note(bucket, number)) for number in range(250))
        assert await asyncio.gather(*notes) == [1] * 250
        assert valkey.hlen(record) == 251


async def test_messages_published_on_any_node_are_received(valkey_url: str, valkey: redis.Redis) -> None:
    async with (
        async_client(valkey_url, connect_within=2) as client,
        subscribed(client, "sms-router:test") as channel,
        asyncio.timeout(LONG),
    ):
        messages = channel.listen()
        for number in range(10):
            valkey.publish("sms-router:test", str(number))
            assert (await anext(messages))["data"] == str(number).encode()


@pytest.mark.parametrize("order", ["killed", "exchanged"])
async def test_the_new_master_of_the_sentinels_is_located(sentinels: PrivateSentinels, order: str) -> None:
    async with started(sentinels.url) as store:
        assert await run_claim(store) == [b"claimed", 1]
        before = sentinels.master
        await asyncio.to_thread(before.kill if order == "killed" else sentinels.fail_over)
        claimed = None
        async with asyncio.timeout(LONG):
            while sentinels.master is before or claimed is None:
                with contextlib.suppress(StoreUnavailableError):
                    claimed = await run_claim(store)
                await asyncio.sleep(0.01)
        assert claimed is not None
        assert claimed[0] in {b"in_progress", b"claimed"}
        with sentinels.master.client() as client:
            assert client.exists(ALL_BUCKETS[0].message("AC/SM"))
        await wait_until(lambda: _role(sentinels.url) == "master")


async def test_a_server_is_restored_before_it_serves(private_valkey: PrivateValkey) -> None:
    """Also one with all data: only a connection that was lost leads to the same server again."""
    store = Store(private_valkey.url)
    states: list[str | None] = []

    async def restore(run: Run) -> None:
        await run(claim(ALL_BUCKETS[0], f"AC/{len(states)}"))
        with pytest.raises(StoreUnavailableError):
            await run_claim(store)
        states.append(store.error)

    store.restorers.append(restore)
    await store.start()
    try:
        for count, act in enumerate((_cut_connections, _restart, _cut_connections, _reset), start=1):
            await act(private_valkey, store)
            await wait_until(lambda: store.error is None)
            assert await run_claim(store, reference="AC/0") == [b"in_progress", ANY]
            assert len(states) == 1 + count // 2
    finally:
        await store.aclose()
    assert None not in states


async def _cut_connections(server: PrivateValkey, store: Store) -> None:
    with server.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)
    await wait_until(lambda: store.error is not None)


async def _restart(server: PrivateValkey, store: Store) -> None:
    await asyncio.to_thread(server.kill)
    await wait_until(lambda: store.error is not None)
    await asyncio.to_thread(server.start)


async def _reset(_: PrivateValkey, store: Store) -> None:
    store.reset("its data is lost")


def _role(url: str) -> str:
    """Return the role that a command's client finds; redis-py waits until the Sentinels agree."""
    with contextlib.suppress(redis.ConnectionError), sync_client(url) as client:
        return str(client.info("replication")["role"])
    return ""


async def test_sentinels_that_do_not_answer_are_skipped(sentinels: PrivateSentinels) -> None:
    address = sentinels.sentinels[0].address
    async with started(f"redis+sentinel://127.0.0.1:1,nobody.invalid,{address}/{MASTER}") as store:
        assert await run_claim(store) == [b"claimed", 1]


async def test_the_error_names_sentinels_that_do_not_answer(sentinels: PrivateSentinels) -> None:
    address = sentinels.sentinels[0].address
    async with started(f"redis+sentinel://{address}/other") as store:
        assert f"the Sentinel {address}: has no master 'other'" in (store.error or "")
    async with started(f"redis://{address}") as store:
        assert f"set REDIS_URL=redis+sentinel://{address}/mymaster" in (store.error or "")
    async with started(f"redis+sentinel://127.0.0.1:1/{MASTER}") as store:
        assert "the Sentinel 127.0.0.1:1" in (store.error or "")


async def test_logins_differ_between_sentinels_and_servers() -> None:
    with tempfile.TemporaryDirectory(prefix="sentinel-") as name:
        folder = Path(name)
        server = ServerProcess(
            folder / "server", "user router on >for-servers ~* &* +@all\nuser default off\n"
        )
        watched = f"sentinel monitor {MASTER} 127.0.0.1 {server.port} 1\n"
        sentinel = ServerProcess(folder / "sentinel", f"{watched}requirepass for-sentinels\n", sentinel=True)
        url = f"redis+sentinel://router:for-servers@{sentinel.address}/{MASTER}/3"
        running = (server, sentinel)
        try:
            for each in running:
                each.start_unseen()
            async with started(f"{url}?sentinel_password=for-sentinels") as store:
                await wait_until(lambda: store.error is None)
                assert await run_claim(store) == [b"claimed", 1]
            with sync_client(f"{url}?sentinel_password=for-sentinels") as client:
                assert client.exists(ALL_BUCKETS[0].message("AC/SM"))
            async with started(url) as store:
                assert "AUTH" in (store.error or "")
        finally:
            for each in running:
                each.kill()
