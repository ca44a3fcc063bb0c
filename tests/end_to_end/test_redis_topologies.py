"""Routers with a Redis Cluster and with Sentinels."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from sms_router.routing.history.reader import HistoryReader
from sms_router.store.redis_py import sync_client
from tests.end_to_end.conftest import publish_senders
from tests.end_to_end.router_process import (
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
StartRouter = Callable[..., RouterProcess]


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
async def start_router(tmp_path: Path) -> AsyncIterator[StartRouter]:
    """A function that starts routers on a Redis; each has a folder of its own."""
    running: list[RouterProcess] = []

    def start(redis: Redis, handlers: str = "tests.end_to_end.handlers") -> RouterProcess:
        folder = write_configuration(tmp_path / f"config-{len(running)}", handlers=handlers)
        router = RouterProcess(folder, redis.url)
        running.append(router)
        return router.start()

    yield start
    for router in running:
        router.kill()


async def deliver_many(router: RouterProcess, count: int) -> list[asyncio.Task[HttpResponse]]:
    """Deliver messages of ``count`` contacts, one each 20 ms."""
    tasks = []
    for number in range(count):
        tasks.append(asyncio.create_task(router.deliver(webhook("HOURS", From=f"+1415555{number:04}"))))
        await asyncio.sleep(0.02)
    return tasks


async def assert_answered(tasks: list[asyncio.Task[HttpResponse]]) -> None:
    for answer in await asyncio.gather(*tasks):
        assert answer.status == 200
        assert "We are open 9 to 5, SAN FRANCISCO." in answer.text
        assert 'from="12345"' in answer.text


async def reasons(router: RouterProcess) -> str:
    return " ".join(json.loads((await router.fetch("/readyz")).body).get("reasons", []))


async def is_ready(router: RouterProcess) -> bool:
    return not await reasons(router)


def count_records(redis: Redis) -> int:
    with sync_client(redis.url) as client:
        return len(HistoryReader(client).recent(10_000))


@pytest.mark.slow
async def test_two_routers_on_a_cluster_answer_each_message_once(
    cluster: PrivateCluster, start_router: StartRouter
) -> None:
    await publish_senders(cluster.url)
    first, second = (
        await asyncio.to_thread(start_router, cluster),
        await asyncio.to_thread(start_router, cluster),
    )
    await assert_answered(await deliver_many(first, 40))
    counted = webhook("COUNT 0.5")
    original = asyncio.create_task(first.deliver(counted))
    await first.wait_for_runs()
    duplicates = (
        second.deliver(counted, path="/sms/fallback"),
        first.deliver(counted),
        second.deliver(counted),
    )
    assert {answer.body for answer in await asyncio.gather(*duplicates)} == {(await original).body}
    assert (len(first.runs), len(second.runs)) == (1, 0)
    assert await is_ready(first)
    assert await is_ready(second)
    assert count_records(cluster) == 41


@pytest.mark.slow
async def test_the_commands_work_on_a_cluster(cluster: PrivateCluster, start_router: StartRouter) -> None:
    await publish_senders(cluster.url)
    router = await asyncio.to_thread(start_router, cluster)
    await assert_answered(await deliver_many(router, 10))
    broken = webhook("BOOM", From="+14155550777")
    await router.deliver(broken)
    expected = {
        "messages --json --limit 5": '"sid"',
        "messages --failed --json": broken["MessageSid"],
        f"messages show {broken['MessageSid']}": "failed",
        "senders --json": "12345",
        "membership show": SERVICE,
        "membership history": "Nothing was changed",
        "opt-outs add +14155550123": "is on the list now",
        "opt-outs list --json --reveal": r"\+14155550123",
        "opt-outs export": r"\+14155550123",
        "opt-outs remove +14155550123": "is off the list",
        "check --no-twilio": "good",
    }
    for words, sentence in expected.items():
        result = await asyncio.to_thread(router.command, *words.split())
        assert re.search(sentence, result.stdout), (words, result.stdout, result.stderr)


@pytest.mark.slow
async def test_every_message_is_answered_while_a_node_is_down(
    cluster: PrivateCluster, start_router: StartRouter
) -> None:
    await publish_senders(cluster.url)
    router = await asyncio.to_thread(start_router, cluster)
    killed = cluster.masters[1]
    before = await deliver_many(router, 20)
    await asyncio.to_thread(killed.kill)
    await assert_answered(before + await deliver_many(router, 60))
    assert f"node {killed.address}" in await reasons(router)
    assert cluster.masters[0].address not in await reasons(router)
    await asyncio.to_thread(killed.start)
    await wait_until(lambda: is_ready(router))
    await assert_answered(await deliver_many(router, 20))
    assert count_records(cluster) == 100
    assert not list((router.folder / "data" / "spool").glob("*"))


@pytest.mark.slow
async def test_every_message_is_answered_during_a_failover_by_sentinels(
    sentinels: PrivateSentinels, start_router: StartRouter
) -> None:
    await publish_senders(sentinels.url)
    router = await asyncio.to_thread(start_router, sentinels)
    before = await deliver_many(router, 20)
    await assert_answered(before)
    await asyncio.to_thread(sentinels.master.kill)
    await assert_answered(await deliver_many(router, 60))
    await wait_until(lambda: is_ready(router))
    await assert_answered(await deliver_many(router, 20))
    assert count_records(sentinels) == 100


@pytest.mark.slow
async def test_conversations_on_a_cluster_keep_the_order_of_messages(
    cluster: PrivateCluster, start_router: StartRouter
) -> None:
    await publish_senders(cluster.url)
    routers = [
        await asyncio.to_thread(start_router, cluster, "tests.end_to_end.conversation_handlers")
        for _ in range(2)
    ]
    for number in range(6):  # contacts in different buckets
        contact = f"+1415555{number:04}"
        tasks = []
        for turn in range(3):
            message = webhook(f"ADD {10**turn}", From=contact)
            tasks.append(asyncio.create_task(routers[turn % 2].deliver(message)))
            await wait_until_known(cluster.url, message)
        answers = await asyncio.gather(*tasks)
        sums = [answer.text.partition("The sum is ")[2].partition(".")[0] for answer in answers]
        assert sums == ["1", "11", "111"]
