"""Contacts on the opt-out list get no reply after Redis, or the disk, has lost data; a START still works."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.inbox.inbox import Inbox
from sms_router.routing.opt_outs.disk_cache import OptOutDiskCache
from sms_router.routing.opt_outs.evidence import Event, Evidence, How, read_all, read_ledger
from sms_router.routing.opt_outs.sync import OptOutSync
from sms_router.routing.pipeline.subscriber import Subscriber
from sms_router.senders.error_table import load_error_table
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.keys import ALL_BUCKETS
from sms_router.store.redis_py import async_client
from sms_router.store.server_clock import ServerClock
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.spool.spool import Spool
from sms_router.store.store import Store
from tests.routing.workers import START, STOP
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until

MG = "MG" + "1" * 32
EARLY, LATE = [[f"+1415555{number:04}" for number in range(low, low + 70)] for low in (0, 100)]
"""Contacts who opt out before, and after, a copy is made of Redis' data."""
BACK, NEVER = "+14155550900", "+14155550901"
"""One who has opted out and in again, and one who has done neither."""
TOLD = "Redis had lost opt-outs"


def _count_evidence(folder: Path) -> int:
    uri = f"file:{folder / 'opt-outs-1.db'}?mode=ro"
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(uri, uri=True)) as connection,
    ):
        return int(connection.execute("SELECT count(*) FROM evidence").fetchone()[0])
    return 0  # it is not there yet


@dataclass
class Router:
    """The parts of one worker that hold the opt-outs."""

    contacts: Contacts
    sync: OptOutSync
    close: Callable[[], Awaitable[None]]

    async def may_be_texted(self, contact: str) -> bool:
        try:
            return not (await self.contacts.facts_now(MG, contact)).opted_out
        except StoreUnavailableError:
            return not self.contacts.facts(MG, contact, None, stored=False).opted_out


@dataclass
class Deployment:
    """Two routers on two machines, and their Redis."""

    folder: Path
    valkey: PrivateValkey
    routers: list[Router] = field(default_factory=list)

    async def start(self) -> None:
        self.routers = [await _start(self.valkey.url, self.folder / name) for name in ("a", "b")]

    async def stop(self) -> None:
        await asyncio.gather(*(router.close() for router in self.routers))
        self.routers = []

    async def restart_valkey(self, change_data: Callable[[Path], None] = lambda _: None) -> None:
        def restart() -> None:
            self.valkey.kill()
            change_data(self.folder / "v")
            self.valkey.start()

        await asyncio.to_thread(restart)


async def _start(url: str, folder: Path) -> Router:
    running = contextlib.AsyncExitStack()
    store = Store(url)
    journal, clock = DurableWriter(store, Spool(folder / "spool")), ServerClock(store)
    contacts = Contacts(store, journal, lambda *_: None, load_error_table(), clock)
    sync = OptOutSync(store, contacts.opted_out, clock, lambda: 86_400_000, 1461)
    disk = OptOutDiskCache(folder, contacts.opted_out, lambda: store.error is not None, 0.02, sync)
    redis = await running.enter_async_context(async_client(url, connect_within=1, retry=False))
    subscriber = Subscriber(redis, Inbox(store, journal, 1), sync, store)
    await disk.start()
    store.restorers[:] = [sync.restore]  # not the runs of the last seconds, which would hide the loss
    await store.start(journal.replay)
    for stop in (disk.aclose, store.aclose, journal.aclose, sync.aclose, subscriber.aclose):
        running.push_async_callback(stop)
    sync.start()
    subscriber.start()
    await clock.sync()
    await sync.wait_until_merged(5)
    return Router(contacts, sync, running.aclose)


@pytest.fixture
async def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Deployment]:
    monkeypatch.setattr("sms_router.routing.opt_outs.sync.CHECK_INTERVAL", 0.05)
    monkeypatch.setattr("sms_router.routing.pipeline.subscriber.RETRY_INTERVAL", 0.05)
    with PrivateValkey(tmp_path / "v", appendfsync="everysec") as valkey:
        deployment = Deployment(tmp_path, valkey)
        yield deployment
        await deployment.stop()


def _use_copy_of_data(folder: Path) -> None:
    shutil.rmtree(folder / "appendonlydir")
    shutil.copytree(folder.parent / "copy", folder / "appendonlydir")


async def flush(deployment: Deployment) -> None:
    with deployment.valkey.client() as client:
        client.flushall()


async def lose_data_in_restart(deployment: Deployment) -> None:
    await deployment.restart_valkey(lambda folder: shutil.rmtree(folder / "appendonlydir"))


async def empty_append_only_file(deployment: Deployment) -> None:
    def empty(folder: Path) -> None:
        for file in (folder / "appendonlydir").glob("*.incr.aof"):
            file.write_bytes(b"")

    await deployment.restart_valkey(empty)


async def fail_over_to_a_late_replica(deployment: Deployment) -> None:
    await deployment.restart_valkey(_use_copy_of_data)


async def evict(deployment: Deployment) -> None:
    with deployment.valkey.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", "1mb")
        client.config_set("maxmemory", "0")
        assert client.info("stats")["evicted_keys"] > 0


async def move_to_a_new_server(deployment: Deployment) -> None:
    await deployment.stop()
    await lose_data_in_restart(deployment)
    await deployment.start()


async def restart_without_redis(deployment: Deployment) -> None:
    await deployment.stop()
    await asyncio.to_thread(deployment.valkey.kill)
    await deployment.start()
    for router in deployment.routers:
        assert not [contact for contact in EARLY + LATE if await router.may_be_texted(contact)]
    shutil.rmtree(deployment.folder / "v/appendonlydir")
    await asyncio.to_thread(deployment.valkey.start)


async def fill_the_disk_and_free_it(deployment: Deployment) -> None:
    """The databases of both machines cannot be written, then can; then only they have the list."""
    for name in ("a", "b"):
        (deployment.folder / name / "opt-outs-1.db").rename(deployment.folder / name / "away")
        (deployment.folder / name / "opt-outs-1.db").mkdir()
    for router in deployment.routers:
        await router.contacts.change_consent(MG, "+14155550777", STOP)
    await asyncio.sleep(0.1)
    for name in ("a", "b"):
        (deployment.folder / name / "opt-outs-1.db").rmdir()
        (deployment.folder / name / "away").rename(deployment.folder / name / "opt-outs-1.db")
    await asyncio.sleep(0.1)
    await move_to_a_new_server(deployment)
    assert not await deployment.routers[0].may_be_texted("+14155550777")


def _count_listed(deployment: Deployment) -> int:
    with deployment.valkey.client() as client:
        return sum(int(client.zcard(bucket.opt_outs)) for bucket in ALL_BUCKETS)


@pytest.mark.parametrize(
    "lose",
    [
        flush, lose_data_in_restart, empty_append_only_file, evict,
        pytest.param(fail_over_to_a_late_replica, marks=pytest.mark.slow),
        move_to_a_new_server, restart_without_redis, fill_the_disk_and_free_it,
    ],
)  # fmt: skip
async def test_after_a_loss_nobody_on_the_list_is_texted_and_one_warning_is_logged(
    deployment: Deployment,
    lose: Callable[[Deployment], Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    await deployment.start()
    one, other = deployment.routers
    for contact in (*EARLY, BACK):
        evidence = Evidence(Event.STOP, How.KEYWORD, "STOP", "SM" + contact[1:], "12345", "Stop!", "Bye.")
        await one.contacts.change_consent(MG, contact, evidence)
    await wait_until(lambda: _count_evidence(deployment.folder / "a") == len(EARLY) + 1)
    shutil.copytree(deployment.folder / "v/appendonlydir", deployment.folder / "copy")
    for contact in LATE:
        await other.contacts.change_consent(MG, contact, STOP)
    await other.contacts.change_consent(MG, BACK, START)
    await wait_until(lambda: (MG, LATE[-1]) in one.contacts.opted_out)
    assert not await one.may_be_texted(LATE[0])
    assert TOLD not in caplog.text

    await lose(deployment)

    for router in deployment.routers:
        assert [contact for contact in EARLY + LATE if await router.may_be_texted(contact)] == []

    def is_restored() -> bool:
        with deployment.valkey.client() as client:
            listed = {member for bucket in ALL_BUCKETS for member in client.zrange(bucket.opt_outs, 0, -1)}
        return {f"{MG} {contact}".encode() for contact in EARLY + LATE} <= listed

    await wait_until(lambda: TOLD in caplog.text and is_restored())
    await asyncio.sleep(0.2)
    assert caplog.text.count(TOLD) == 1
    one, other = deployment.routers
    assert [1 for router in deployment.routers if "wrote them back" in " ".join(router.sync.notices())]
    with deployment.valkey.client() as client:
        await wait_until(lambda: len(read_all(client)) >= len(EARLY) + 1)
        entries = read_ledger(client, EARLY[0])
    assert [(entry.event, entry.text, entry.answer) for entry in entries] == [("stop", "Stop!", "Bye.")]
    assert await one.may_be_texted(BACK)
    assert await one.may_be_texted(NEVER)
    await one.contacts.change_consent(MG, EARLY[0], START)
    assert await one.may_be_texted(EARLY[0])
    await wait_until(lambda: (MG, EARLY[0]) not in other.contacts.opted_out)
    assert await other.may_be_texted(EARLY[0])
    assert not await other.may_be_texted(EARLY[1])


async def test_further_losses_within_a_minute_are_repaired_without_a_reconnection(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    await deployment.start()
    for contact in EARLY:
        await deployment.routers[0].contacts.change_consent(MG, contact, STOP)
    await wait_until(lambda: (MG, EARLY[-1]) in deployment.routers[1].contacts.opted_out)
    for _ in range(3):
        await flush(deployment)
        await wait_until(lambda: _count_listed(deployment) == len(EARLY))
        for router in deployment.routers:
            assert [contact for contact in EARLY if await router.may_be_texted(contact)] == []
    assert caplog.text.count("does not serve (it has lost its data)") <= 2, "once for each router"
    assert caplog.text.count(TOLD) <= 3


async def test_a_list_too_long_for_the_start_is_written_back_while_redis_serves(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sms_router.routing.opt_outs.sync.RESTORE_BUDGET", 0.0)
    await deployment.start()
    one, other = deployment.routers
    for contact in EARLY:
        await one.contacts.change_consent(MG, contact, STOP)
    await wait_until(lambda: (MG, EARLY[-1]) in other.contacts.opted_out)
    await lose_data_in_restart(deployment)
    for router in deployment.routers:
        assert [contact for contact in EARLY if await router.may_be_texted(contact)] == []
    await wait_until(lambda: _count_listed(deployment) == len(EARLY))
