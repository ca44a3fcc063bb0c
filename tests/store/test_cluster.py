"""Scripts on a real Redis Cluster whose slots move and whose nodes fail."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from sms_router.store import scripts
from sms_router.store.connection import RedisReply
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.keys import ALL_BUCKETS, Bucket
from sms_router.store.redis_py import async_client, sync_client
from sms_router.store.slots import PROBE_OF_SLOT, SLOT_OF_BUCKET
from sms_router.store.store import Store
from tests.store.calls import OWNER, claim
from tests.store.private_cluster import PrivateCluster
from tests.store.processes import EMBEDDED, ServerProcess
from tests.store.shared_stores import started
from tests.waiting import wait_until

LONG = 30


@pytest.fixture(scope="module")
def shared() -> Iterator[PrivateCluster]:
    with tempfile.TemporaryDirectory(prefix="cluster-") as name, PrivateCluster(Path(name)) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared: PrivateCluster) -> PrivateCluster:
    """Three masters without data; a test that stops one starts it again."""
    for node in shared.masters:
        with node.client() as client:
            client.flushdb()
    return shared


@pytest.fixture
async def store(cluster: PrivateCluster) -> AsyncIterator[Store]:
    async with started(cluster.url) as store:
        yield store


def run_claim(store: Store, bucket: Bucket, reference: str = "AC/SM") -> Awaitable[RedisReply]:
    return store.run(claim(bucket, reference))


def run_renewal(store: Store, bucket: Bucket, reference: str = "AC/SM") -> Awaitable[RedisReply]:
    return store.run(scripts.renew_lease(message=bucket.message(reference), owner=OWNER, lease_ms=3000))


async def served(store: Store, reference: str) -> set[Bucket]:
    """Open a message of every bucket; return which of them Redis has taken."""
    async with asyncio.timeout(LONG):
        answers = await asyncio.gather(
            *(run_claim(store, bucket, reference) for bucket in ALL_BUCKETS), return_exceptions=True
        )
    for answer in answers:
        assert answer == [b"claimed", 1] or isinstance(answer, StoreUnavailableError), answer
    return {bucket for bucket, answer in zip(ALL_BUCKETS, answers, strict=True) if isinstance(answer, list)}


def buckets_of(cluster: PrivateCluster, node: ServerProcess) -> set[Bucket]:
    return {
        bucket
        for bucket, slot in zip(ALL_BUCKETS, SLOT_OF_BUCKET, strict=True)
        if cluster.owner(slot) is node
    }


async def test_every_bucket_is_served_by_the_node_of_its_slot(cluster: PrivateCluster, store: Store) -> None:
    assert await served(store, "AC/SM") == set(ALL_BUCKETS)
    assert store.error is None
    for node in cluster.masters:
        with node.client() as client:
            records = list(client.scan_iter("*:message:*"))
        assert len(records) == len(buckets_of(cluster, node)) > 0


@pytest.mark.parametrize("first", ["127.0.0.1:1", "nobody.invalid:7000"])
async def test_one_reachable_node_is_enough_to_start(cluster: PrivateCluster, first: str) -> None:
    async with started(f"redis+cluster://{first},{cluster.masters[1].address}") as store:
        assert await served(store, "AC/SM") == set(ALL_BUCKETS)


async def test_a_moved_slot_is_followed(cluster: PrivateCluster, store: Store) -> None:
    bucket, slot = ALL_BUCKETS[0], SLOT_OF_BUCKET[0]
    assert await run_claim(store, bucket) == [b"claimed", 1]
    source = cluster.owner(slot)
    target = next(node for node in cluster.masters if node is not source)
    for node in (target, source):
        await asyncio.to_thread(cluster.move, slot, node)
        answers = await asyncio.gather(*(run_claim(store, bucket) for _ in range(50)))
        assert {answer[0] for answer in answers} == {b"in_progress"}
        assert await served(store, f"AC/{node.port}") == set(ALL_BUCKETS)
    assert store.error is None


@pytest.mark.skipif(not EMBEDDED, reason="only Valkey 9 moves slots by itself")
async def test_no_call_fails_while_valkey_migrates_a_slot(
    cluster: PrivateCluster, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("cluster", "resilient_connection"):  # servers of a busy machine must not count as frozen
        monkeypatch.setattr(f"sms_router.store.{module}.STALL_TIMEOUT", 2.0)
    bucket, slot = ALL_BUCKETS[7], SLOT_OF_BUCKET[7]
    await asyncio.gather(*(run_claim(store, bucket, f"AC/{number}") for number in range(500)))
    target = next(node for node in cluster.masters if node is not cluster.owner(slot))
    await asyncio.to_thread(cluster.migrate, slot, target)
    async with asyncio.timeout(LONG):
        number = 0
        while number % 50 or await asyncio.to_thread(cluster.owner, slot) is not target:
            assert await run_claim(store, bucket, f"AC/new{number}") == [b"claimed", 1]
            number += 1
    assert (await run_claim(store, bucket, "AC/0"))[0] == b"in_progress"
    assert store.error is None


@pytest.mark.slow
async def test_new_nodes_are_connected_and_nodes_without_slots_disconnected(
    cluster: PrivateCluster, store: Store
) -> None:
    leaving, staying = cluster.masters[0], cluster.masters[1]
    slots = [slot for slot in PROBE_OF_SLOT if cluster.owner(slot) is leaving]
    for slot in slots:
        await asyncio.to_thread(cluster.move, slot, staying)
    assert await served(store, "AC/1") == set(ALL_BUCKETS)
    await wait_until(lambda: not _connected(leaving))
    for slot in slots:
        await asyncio.to_thread(cluster.move, slot, leaving)
    assert await served(store, "AC/2") == set(ALL_BUCKETS)
    assert _connected(leaving)


def _connected(node: ServerProcess) -> bool:
    """Return whether another client is connected, and stays."""
    with node.client() as client:
        return any(b"evalsha" in str(each["cmd"]).encode() for each in client.client_list())


async def test_keys_of_a_slot_that_is_being_moved_are_found_on_both_nodes(
    cluster: PrivateCluster, store: Store
) -> None:
    bucket, slot = ALL_BUCKETS[5], SLOT_OF_BUCKET[5]
    references = [f"AC/{number}" for number in range(20)]
    for reference in references:
        await run_claim(store, bucket, reference)
    target = next(node for node in cluster.masters if node is not cluster.owner(slot))
    source = cluster.begin_move(slot, target)
    assert cluster.move_keys(slot, source, target, most=10) == 10
    renewed = await asyncio.gather(*(run_renewal(store, bucket, reference) for reference in references))
    assert renewed == [1] * 20
    others = [other for other in ALL_BUCKETS if other is not bucket]
    assert await asyncio.gather(*(run_claim(store, other) for other in others)) == [[b"claimed", 1]] * 63
    async with asyncio.timeout(LONG):
        with pytest.raises(
            StoreUnavailableError, match="is being moved"
        ):  # new, and so on neither side in full
            await run_claim(store, bucket, "AC/new")
    assert store.error is None
    cluster.move_keys(slot, source, target)
    cluster.end_move(slot, target)
    assert await run_claim(store, bucket, "AC/new") == [b"claimed", 1]
    assert (await run_claim(store, bucket, references[0]))[0] == b"in_progress"


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_a_lost_node_affects_only_its_own_buckets(
    cluster: PrivateCluster, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sms_router.store")
    lost = cluster.masters[1]
    its = buckets_of(cluster, lost)
    async with started(cluster.url) as store:
        await served(store, "AC/before")
        await asyncio.to_thread(lost.kill if fault == "killed" else lost.freeze)
        try:
            assert await served(store, "AC/during") == set(ALL_BUCKETS) - its
            assert f"node {lost.address} with {len(its)} of 64 parts" in (store.error or "")
            for bucket in its:
                with pytest.raises(StoreUnavailableError):
                    run_claim(store, bucket, "AC/at once").send(None)  # type: ignore[attr-defined]
        finally:
            await asyncio.to_thread(lost.start if fault == "killed" else lost.thaw)
        await wait_until(lambda: store.error is None)
        assert await served(store, "AC/after") == set(ALL_BUCKETS)
    logged = [record.getMessage() for record in caplog.records]
    assert f"The Redis node {lost.address} does not serve" in logged[0]
    assert f"The Redis node {lost.address} serves again" in logged[-1]


async def test_pending_work_runs_when_a_node_serves_again(cluster: PrivateCluster) -> None:
    lost = cluster.masters[2]
    bucket = next(iter(buckets_of(cluster, lost)))
    done: list[RedisReply] = []
    running: list[Store] = []

    async def write_down() -> None:
        done.append(await run_claim(running[0], bucket, "AC/waited"))

    await asyncio.to_thread(lost.kill)
    try:
        async with started(cluster.url, write_down) as store:
            running.append(store)
            assert store.error is not None
            assert not done
            await asyncio.to_thread(lost.start)
            await wait_until(lambda: done)
            assert done[0] == [b"claimed", 1]
    finally:
        await asyncio.to_thread(lost.start)


@pytest.mark.slow
async def test_without_nodes_the_store_starts_and_connects_later(
    cluster: PrivateCluster,
) -> None:
    for node in cluster.masters:
        node.kill()
    async with started(cluster.url) as store:
        assert "no node of the Cluster responds" in (store.error or "")
        assert cluster.masters[0].address in (store.error or "")
        assert await served(store, "AC/SM") == set()
        for node in cluster.masters:
            await asyncio.to_thread(node.start)
        await wait_until(lambda: store.error is None)
        assert await served(store, "AC/SM") == set(ALL_BUCKETS)


async def test_an_error_for_another_topology_has_the_url_to_set(
    cluster: PrivateCluster, stores_url: str
) -> None:
    address = cluster.masters[0].address
    async with started(f"redis://{address}") as store:
        assert f"set REDIS_URL=redis+cluster://{address}" in (store.error or "")
    async with started(stores_url.replace("redis://", "redis+cluster://")) as store:
        assert f"set REDIS_URL={stores_url}" in (store.error or "")


async def test_every_connection_logs_in(cluster: PrivateCluster) -> None:
    secret = "p@ss,word"
    url = cluster.url.replace("://", f"://:{quote(secret, safe='')}@")
    with contextlib.ExitStack() as admins:
        for node in cluster.masters:
            admin = admins.enter_context(redis.Redis(port=node.port, single_connection_client=True))
            admin.config_set("requirepass", secret)
            admins.callback(admin.config_set, "requirepass", "")
        async with started(url) as store:
            assert await served(store, "AC/SM") == set(ALL_BUCKETS)
        async with async_client(url, connect_within=2) as client:
            assert await client.exists(ALL_BUCKETS[0].message("AC/SM"))
        with sync_client(url) as client:
            assert client.exists(ALL_BUCKETS[1].message("AC/SM"))
        async with started(cluster.url) as store:
            assert "NOAUTH" in (store.error or "")


@pytest.fixture
def stores_url() -> Iterator[str]:
    """A single server on a TCP port."""
    with tempfile.TemporaryDirectory(prefix="valkey-") as name:
        server = ServerProcess(Path(name))
        server.start()
        yield f"redis://{server.address}"
        server.kill()


@pytest.mark.slow
async def test_a_promoted_replica_replaces_its_master() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="cluster-") as name,
        PrivateCluster(Path(name), replicas=1) as cluster,
    ):
        async with started(cluster.url) as store:
            assert await served(store, "AC/before") == set(ALL_BUCKETS)
            await asyncio.to_thread(cluster.masters[0].kill)
            await wait_until(lambda: store.error is not None)
            await wait_until(lambda: store.error is None)
            assert await served(store, "AC/after") == set(ALL_BUCKETS)
            assert cluster.owner(SLOT_OF_BUCKET[0]) is not cluster.masters[0]
