"""Whole routers on a Redis Cluster and on Sentinels: what holds on one server holds there."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from sms_router.membership.snapshot import ServiceProperties, Snapshot
from sms_router.membership.snapshot_store import SnapshotStore
from sms_router.routing.history.reader import HistoryReader
from sms_router.store.redis_py import async_client, sync_client
from tests.end_to_end.conftest import SENDERS
from tests.end_to_end.router_process import (
    ACCOUNT,
    SERVICE,
    HttpResponse,
    RouterProcess,
    wait_until_known,
    webhook,
    write_configuration,
)
from tests.store.private_cluster import PrivateCluster
from tests.store.private_sentinels import PrivateSentinels
from tests.waiting import wait_until

Redis = PrivateCluster | PrivateSentinels
Begin = Callable[..., RouterProcess]


@pytest.fixture
def cluster() -> Iterator[PrivateCluster]:
    with (
        tempfile.TemporaryDirectory(prefix="cluster-") as name,
        PrivateCluster(Path(name), lasting=True) as running,
    ):
        yield running


@pytest.fixture
def sentinels() -> Iterator[PrivateSentinels]:
    with tempfile.TemporaryDirectory(prefix="sentinel-") as name, PrivateSentinels(Path(name)) as running:
        yield running


@pytest.fixture
async def begin(tmp_path: Path) -> AsyncIterator[Begin]:
    """Start routers that know the Service's senders; each has a folder of its own."""
    running: list[RouterProcess] = []

    def start(redis: Redis, handlers: str = "tests.end_to_end.handlers") -> RouterProcess:
        folder = write_configuration(tmp_path / f"config-{len(running)}", handlers=handlers)
        router = RouterProcess(folder, redis.url)
        running.append(router)
        return router.start()

    yield start
    for router in running:
        router.kill()


async def publish_senders(redis: Redis) -> None:
    snapshot = Snapshot(ACCOUNT, SERVICE, SENDERS, ServiceProperties("Test"), {}, time.time(), version=1)
    async with async_client(redis.url, connect_within=2) as client:
        await SnapshotStore(client).publish(snapshot, snapshot.to_bytes())


async def stream(router: RouterProcess, count: int) -> list[asyncio.Task[HttpResponse]]:
    """Deliver messages of many people at a steady pace."""
    tasks = []
    for number in range(count):
        tasks.append(asyncio.create_task(router.deliver(webhook("HOURS", From=f"+1415555{number:04}"))))
        await asyncio.sleep(0.02)
    return tasks


async def all_answered(tasks: list[asyncio.Task[HttpResponse]]) -> None:
    for answer in await asyncio.gather(*tasks):
        assert answer.status == 200
        assert "We are open 9 to 5, SAN FRANCISCO." in answer.text
        assert 'from="12345"' in answer.text


async def reasons(router: RouterProcess) -> str:
    return " ".join(json.loads((await router.fetch("/readyz")).body).get("reasons", []))


async def ready(router: RouterProcess) -> bool:
    return not await reasons(router)


async def _runs(router: RouterProcess) -> bool:
    return bool(router.runs)


def journaled(redis: Redis) -> int:
    with sync_client(redis.url) as client:
        return len(HistoryReader(client).recent(10_000))


@pytest.mark.slow
async def test_two_routers_on_a_cluster_answer_each_message_once(
    cluster: PrivateCluster, begin: Begin
) -> None:
    await publish_senders(cluster)
    one, other = await asyncio.to_thread(begin, cluster), await asyncio.to_thread(begin, cluster)
    await all_answered(await stream(one, 40))
    counted = webhook("COUNT 0.5")
    first = asyncio.create_task(one.deliver(counted))
    await wait_until(lambda: _runs(one))
    twins = (other.deliver(counted, path="/sms/fallback"), one.deliver(counted), other.deliver(counted))
    assert {answer.body for answer in await asyncio.gather(*twins)} == {(await first).body}
    assert (len(one.runs), len(other.runs)) == (1, 0)
    assert await ready(one)
    assert await ready(other)
    assert journaled(cluster) == 41


@pytest.mark.slow
async def test_the_commands_work_on_a_cluster(cluster: PrivateCluster, begin: Begin) -> None:
    await publish_senders(cluster)
    router = await asyncio.to_thread(begin, cluster)
    await all_answered(await stream(router, 10))
    broken = webhook("BOOM", From="+14155550777")
    await router.deliver(broken)
    said = {
        "messages --json --limit 5": '"sid"',
        "messages --failed --json": broken["MessageSid"],
        f"messages show {broken['MessageSid']}": "failed",
        "senders --json": "12345",
        "membership show": SERVICE,
        "membership history": "Nobody",
        "opt-outs add +14155550123": "is on the list now",
        "opt-outs list --json --reveal": r"\+14155550123",
        "opt-outs export": r"\+14155550123",
        "opt-outs remove +14155550123": "is off the list",
        "check --no-twilio": "good",
    }
    for words, sentence in said.items():
        done = await asyncio.to_thread(router.command, *words.split())
        assert re.search(sentence, done.stdout), (words, done.stdout, done.stderr)


@pytest.mark.slow
async def test_a_lost_node_costs_nobody_an_answer(cluster: PrivateCluster, begin: Begin) -> None:
    await publish_senders(cluster)
    router = await asyncio.to_thread(begin, cluster)
    lost = cluster.masters[1]
    before = await stream(router, 20)
    await asyncio.to_thread(lost.kill)
    await all_answered(before + await stream(router, 60))
    assert f"node {lost.address}" in await reasons(router)
    assert cluster.masters[0].address not in await reasons(router)
    await asyncio.to_thread(lost.start)
    await wait_until(lambda: ready(router))
    await all_answered(await stream(router, 20))
    assert journaled(cluster) == 100
    assert not list((router.folder / "data" / "spool").glob("*"))


@pytest.mark.slow
async def test_a_failover_of_the_sentinels_costs_nobody_an_answer(
    sentinels: PrivateSentinels, begin: Begin
) -> None:
    await publish_senders(sentinels)
    router = await asyncio.to_thread(begin, sentinels)
    before = await stream(router, 20)
    await all_answered(before)
    await asyncio.to_thread(sentinels.master.kill)
    await all_answered(await stream(router, 60))
    await wait_until(lambda: ready(router))
    await all_answered(await stream(router, 20))
    assert journaled(sentinels) == 100


@pytest.mark.slow
async def test_people_converse_on_a_cluster_in_their_order(cluster: PrivateCluster, begin: Begin) -> None:
    await publish_senders(cluster)
    routers = [
        await asyncio.to_thread(begin, cluster, "tests.end_to_end.conversation_handlers") for _ in range(2)
    ]
    for number in range(6):  # people in different places of the cluster
        person = f"+1415555{number:04}"
        tasks = []
        for turn in range(3):
            text = webhook(f"ADD {10**turn}", From=person)
            tasks.append(asyncio.create_task(routers[turn % 2].deliver(text)))
            await wait_until_known(cluster.url, text)
        answers = await asyncio.gather(*tasks)
        assert [each.text.partition("The sum is ")[2].partition("<")[0] for each in answers] == [
            "1.",
            "11.",
            "111.",
        ]
