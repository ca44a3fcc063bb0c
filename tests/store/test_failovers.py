"""Writes that a failover, a restart or a split has lost are there again before anything else is read."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import redis

from sms_router.store import scripts
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.keys import ALL_BUCKETS, bucket_of
from sms_router.store.store import Store
from tests.store.calls import claim, commit
from tests.store.private_cluster import PrivateCluster
from tests.store.private_sentinels import PrivateSentinels
from tests.store.private_valkey import PrivateValkey, client_of
from tests.store.shared_stores import started
from tests.waiting import wait_until

BUCKETS = ALL_BUCKETS[:8]
CONTACT, SCOPE = "+14155550100", "MG1"
OPT_OUT = scripts.change_consent(
    scope=SCOPE,
    contact=CONTACT,
    message=None,
    request="stop",
    source="keyword",
    requested_at=1,
    ttl_ms=60_000,
    consent_ttl_ms=60_000,
)


@pytest.fixture(autouse=True)
def long_stall_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers of a busy machine must not count as frozen."""
    monkeypatch.setattr("sms_router.store.resilient_connection.STALL_TIMEOUT", 2.0)


async def write(store: Store) -> None:
    """Answer a message of each bucket, claim another one, and put a contact on the opt-out list."""
    for bucket in BUCKETS:
        await store.run(claim(bucket, "AC/SM1"))
        script, keys, arguments = commit(bucket, "AC/SM1")
        assert await store.run((script, keys, (b"", b"", *arguments[2:]))) == [1]
        await store.run(claim(bucket, "AC/SM2"))
    await store.run(OPT_OUT)


async def assert_nothing_is_lost(store: Store, client: Callable[[], redis.Redis]) -> None:
    """Begin with the first script that runs at all."""

    async def read() -> bool:
        with contextlib.suppress(StoreUnavailableError):
            assert await store.run(scripts.get_contact(scope=SCOPE, contact=CONTACT))
            return True
        return False

    async def everything() -> bool:
        """Return what the new master has; a store that has not followed the failover loses its connection."""
        with contextlib.suppress(StoreUnavailableError), client() as valkey:
            for bucket in BUCKETS:
                assert (await store.run(claim(bucket, "AC/SM1")))[0] == b"answered"
                assert (await store.run(claim(bucket, "AC/SM2")))[0] == b"in_progress"
            journals = [valkey.xlen(bucket.journal) for bucket in BUCKETS]
            return journals == [2] * len(BUCKETS) and valkey.zcard(bucket_of(CONTACT).opt_outs) == 1
        return False

    await wait_until(read)
    await wait_until(everything)


async def test_a_restart_with_an_empty_data_set(tmp_path: Path) -> None:
    with PrivateValkey(tmp_path / "v") as valkey:
        async with started(valkey.url) as store:
            await write(store)
            await asyncio.to_thread(valkey.kill)
            for data in (tmp_path / "v").glob("append*"):
                shutil.rmtree(data)
            await asyncio.to_thread(valkey.start)
            await assert_nothing_is_lost(store, valkey.client)


async def test_what_was_erased_does_not_come_back(tmp_path: Path) -> None:
    with PrivateValkey(tmp_path / "v") as valkey:
        async with started(valkey.url) as store:
            await write(store)
            store.forget_runs(BUCKETS[0].tag)
            await asyncio.to_thread(valkey.kill)
            for data in (tmp_path / "v").glob("append*"):
                shutil.rmtree(data)
            await asyncio.to_thread(valkey.start)
            await wait_until(lambda: store.error is None)
            with valkey.client() as client:
                assert [client.xlen(bucket.journal) for bucket in BUCKETS] == [0] + [2] * 7


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["killed", "exchanged", "emptied", "split"])
async def test_a_failover_that_loses_writes(tmp_path: Path, fault: str) -> None:
    with PrivateSentinels(tmp_path, sentinels=3) as sentinels:
        before = sentinels.master
        (replica,) = (server for server in sentinels.servers if server is not before)
        async with started(sentinels.url) as store:
            if fault in {"killed", "split"}:
                replica.freeze()
                with before.client() as client:
                    client.execute_command("CLIENT", "KILL", "TYPE", "replica")
            await write(store)
            match fault:
                case "killed":
                    before.kill()
                    replica.thaw()
                case "exchanged":
                    sentinels.fail_over()
                case "emptied":
                    before.kill()
                    await asyncio.to_thread(before.start)
                case "split":
                    before.freeze()
                    replica.thaw()
                    await wait_until(lambda: sentinels.master is replica)
                    before.thaw()
            await wait_until(
                lambda: store.error is None and (fault == "emptied" or sentinels.master is replica)
            )
            await assert_nothing_is_lost(store, sentinels.master.client)


@pytest.mark.slow
async def test_a_node_of_a_cluster_whose_replica_lacks_writes(tmp_path: Path) -> None:
    with PrivateCluster(tmp_path, masters=3, replicas=3) as cluster:
        node, replica = cluster.masters[0], cluster.replicas[0]
        async with started(cluster.url) as store:
            replica.freeze()
            with node.client() as client:
                client.execute_command("CLIENT", "KILL", "TYPE", "replica")
            await write(store)
            node.kill()
            replica.thaw()
            await wait_until(lambda: cluster.owner(0) is replica and store.error is None)
            await assert_nothing_is_lost(store, partial(client_of, cluster.url))
