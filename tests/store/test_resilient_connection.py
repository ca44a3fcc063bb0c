from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from sms_router.store import resilient_connection
from sms_router.store.connection import PipelinedConnection, RedisReply, connect
from sms_router.store.errors import ScriptFailedError, StoreUnavailableError
from sms_router.store.keys import bucket_of
from sms_router.store.resilient_connection import CHECK_INTERVAL, RedisClient
from sms_router.store.scripts import Script
from sms_router.store.url import Address, RedisUrl
from tests.store.calls import claim, note
from tests.store.private_valkey import PrivateValkey
from tests.store.shared_stores import SharedStores

LONG = 20
"""Seconds after which a test is taken to hang."""

CONTACT = bucket_of("+14155550100")


def server_at(url: str) -> RedisClient:
    (address,) = RedisUrl.parse(url).seeds

    async def locate() -> Address:
        return address

    return RedisClient(locate)


def run_claim(store: RedisClient, reference: str = "AC/SM") -> Awaitable[RedisReply]:
    return store.run(claim(CONTACT, reference))


class Returns:
    """Counts the returns of Redis."""

    def __init__(self) -> None:
        self.count = 0
        self._came = asyncio.Event()

    async def __call__(self) -> None:
        self.count += 1
        self._came.set()

    async def next(self) -> None:
        """Wait for a return that comes after now."""
        self._came.clear()
        async with asyncio.timeout(LONG):
            await self._came.wait()


@contextlib.asynccontextmanager
async def started(
    url: str, on_reconnect: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[RedisClient]:
    store = server_at(url)
    await store.start(on_reconnect)
    try:
        yield store
    finally:
        await store.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture(params=["valkey"])
def shared_server(request: pytest.FixtureRequest, stores: SharedStores) -> str:
    """One server: the tests of this file use no other topology."""
    return stores.url(request.param)


@pytest.fixture
async def store(valkey_url: str) -> AsyncIterator[RedisClient]:
    async with started(valkey_url) as store:
        yield store


def assert_refused_at_once(store: RedisClient, calls: int = 100) -> None:
    """The breaker is open: a call fails before it is even suspended once."""
    for number in range(calls):
        with pytest.raises(StoreUnavailableError):
            store.run(claim(CONTACT, f"AC/{number}")).send(None)


async def unavailable(calls: int, store: RedisClient) -> None:
    """Run many calls; all fail because Redis is unavailable."""
    async with asyncio.timeout(LONG):
        outcomes = await asyncio.gather(
            *(run_claim(store, f"AC/{number}") for number in range(calls)), return_exceptions=True
        )
    assert all(isinstance(outcome, StoreUnavailableError) for outcome in outcomes), outcomes[:3]


async def test_a_script_returns_its_result(store: RedisClient) -> None:
    assert await run_claim(store) == [b"claimed", 1]
    assert store.error is None


async def test_flushed_scripts_are_sent_again(store: RedisClient, valkey: redis.Redis) -> None:
    for _ in range(2):
        valkey.flushall()
        valkey.script_flush()
        answers = await asyncio.gather(*(run_claim(store, f"AC/{number}") for number in range(200)))
        assert answers == [[b"claimed", 1]] * 200
    assert store.error is None


async def test_callers_of_a_killed_server_fail_and_later_ones_at_once(
    private_valkey: PrivateValkey,
) -> None:
    returns = Returns()
    async with started(private_valkey.url, returns) as store:
        await run_claim(store)
        private_valkey.freeze()
        callers = asyncio.create_task(unavailable(500, store))
        await asyncio.sleep(0)
        private_valkey.kill()
        await callers
        assert_refused_at_once(store)
        assert store.error is not None
        assert returns.count == 1


@pytest.mark.parametrize("times", [1, 3])
async def test_a_restart_is_detected_and_logged_once(
    private_valkey: PrivateValkey, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sms_router.store")
    returns = Returns()
    async with started(private_valkey.url, returns) as store:
        await returns.next()
        for number in range(1, times + 1):
            private_valkey.kill()
            await unavailable(1, store)
            returning = asyncio.create_task(returns.next())
            await asyncio.to_thread(private_valkey.start)
            await returning
            assert await run_claim(store, f"AC/{number}") == [b"claimed", 1]
            assert store.error is None
    assert returns.count == 1 + times
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"] * times


async def test_a_frozen_server_delays_only_its_first_callers(
    private_valkey: PrivateValkey,
) -> None:
    returns = Returns()
    async with started(private_valkey.url, returns) as store:
        await returns.next()
        private_valkey.freeze()
        await unavailable(500, store)
        assert_refused_at_once(store)
        returning = asyncio.create_task(returns.next())
        private_valkey.thaw()
        await returning
        assert await run_claim(store, "AC/after") == [b"claimed", 1]


async def test_a_single_caller_fails_when_the_server_freezes_after_a_response(
    private_valkey: PrivateValkey,
) -> None:
    for number in range(3):
        async with started(private_valkey.url) as store:
            await run_claim(store, f"AC/{number}")  # leaves a watch behind
            private_valkey.freeze()
            await unavailable(1, store)
            private_valkey.thaw()


async def test_a_command_sent_in_the_iteration_of_a_stall_check_is_checked_later(
    private_valkey: PrivateValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uvloop's clock does not advance within an iteration: such a command has waited for 0 seconds."""
    loop = asyncio.get_running_loop()
    async with started(private_valkey.url) as store, asyncio.timeout(LONG):
        now = loop.time()
        with monkeypatch.context() as clock:
            clock.setattr(loop, "time", lambda: now)
            await run_claim(store)  # a check is due by now + CHECK_INTERVAL
            private_valkey.freeze()
            waiting_task = asyncio.ensure_future(run_claim(store, "AC/SM2"))
            clock.setattr(loop, "time", lambda: now + CHECK_INTERVAL)
            for _ in range(2):  # the command is sent, and then the check runs
                await asyncio.sleep(0)
        with pytest.raises(StoreUnavailableError):
            await waiting_task
        private_valkey.thaw()


async def test_a_blocked_event_loop_does_not_take_redis_for_frozen(
    private_valkey: PrivateValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    async with started(private_valkey.url) as store:
        await asyncio.sleep(2 * CHECK_INTERVAL)  # no check is due any more
        private_valkey.freeze()
        now = loop.time()
        with monkeypatch.context() as clock:
            clock.setattr(loop, "time", lambda: now)
            waiting_task = asyncio.ensure_future(run_claim(store))
            await asyncio.sleep(0)

        def block_while_the_response_arrives() -> None:
            private_valkey.thaw()
            time.sleep(1.0)  # longer than STALL_TIMEOUT, and enough for Valkey on a busy machine

        loop.call_at(now + CHECK_INTERVAL - 1e-9, block_while_the_response_arrives)
        assert await waiting_task == [b"claimed", 1]
        assert store.error is None


async def test_a_full_server_is_an_error_until_it_has_memory_again(
    private_valkey: PrivateValkey, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sms_router.store")
    returns = Returns()
    async with started(private_valkey.url, returns) as store:
        await returns.next()
        await run_claim(store, "AC/before")
        with private_valkey.client() as admin:
            admin.config_set("maxmemory", "1mb")
            await unavailable(100, store)
            assert "OOM" in (store.error or "")
            for _ in range(3):
                await unavailable(1, store)
            assert returns.count == 1
            returning = asyncio.create_task(returns.next())
            admin.config_set("maxmemory", 0)
        await returning
        assert await run_claim(store, "AC/after") == [b"claimed", 1]
        assert store.error is None
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_a_server_that_became_a_replica_is_located_again(
    private_valkey: PrivateValkey,
) -> None:
    returns = Returns()
    async with started(private_valkey.url, returns) as store:
        await returns.next()
        with private_valkey.client() as admin:
            before = admin.info("stats")["total_connections_received"]
            admin.replicaof("127.0.0.1", 1)
            await unavailable(1, store)
            async with asyncio.timeout(LONG):
                while "refuses to write" not in (store.error or ""):
                    await asyncio.sleep(0.01)
            assert_refused_at_once(store)
            returning = asyncio.create_task(returns.next())
            admin.replicaof("NO", "ONE")
            await returning
            assert await run_claim(store, "AC/after") == [b"claimed", 1]
            assert admin.info("stats")["total_connections_received"] > before


async def test_a_script_that_fails_on_its_keys_is_no_outage(store: RedisClient, valkey: redis.Redis) -> None:
    broken = Script("broken")
    vars(broken).update(by_digest=(b"EVALSHA", b"0" * 40, b"0"), by_source=(b"EVAL", b"return {", b"0"))
    valkey.set(CONTACT.message("AC/SM"), "somebody else's")
    with pytest.raises(ScriptFailedError, match="WRONGTYPE"):
        await run_claim(store)
    with pytest.raises(ScriptFailedError, match="ERR"):
        await store.run((broken, (), ()))
    assert store.error is None
    assert await run_claim(store, "AC/SM2") == [b"claimed", 1]


async def test_the_late_close_of_an_old_connection_does_not_drop_the_new_one(
    private_valkey: PrivateValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections: list[PipelinedConnection] = []

    async def recording_connect(*arguments: Any) -> PipelinedConnection:
        connections.append(await connect(*arguments))
        return connections[-1]

    monkeypatch.setattr(resilient_connection, "connect", recording_connect)
    returns = Returns()
    async with started(private_valkey.url, returns) as store:
        await returns.next()
        (old,) = connections
        private_valkey.freeze()
        await unavailable(1, store)
        returning = asyncio.create_task(returns.next())
        private_valkey.thaw()
        await returning
        old.connection_lost(None)
        assert store.error is None
        assert await run_claim(store, "AC/after") == [b"claimed", 1]


async def test_closing_fails_pending_callers(private_valkey: PrivateValkey) -> None:
    async with started(private_valkey.url) as store:
        private_valkey.freeze()
        waiting = asyncio.create_task(unavailable(50, store))
        await asyncio.sleep(0)
        await store.aclose()
        await waiting
        assert_refused_at_once(store)
        private_valkey.thaw()


async def test_closing_while_reconnecting_leaves_no_task(private_valkey: PrivateValkey) -> None:
    private_valkey.freeze()
    store = server_at(private_valkey.url)
    starting = asyncio.create_task(store.start())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await store.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    private_valkey.thaw()


async def test_the_client_starts_without_redis_and_connects_later(private_valkey: PrivateValkey) -> None:
    private_valkey.kill()
    returns = Returns()
    async with started(private_valkey.url, returns) as store:
        assert_refused_at_once(store)
        assert returns.count == 0
        returning = asyncio.create_task(returns.next())
        await asyncio.to_thread(private_valkey.start)
        await returning
        assert await run_claim(store) == [b"claimed", 1]


async def test_pending_work_that_finds_redis_unavailable_is_repeated(
    valkey_url: str,
) -> None:
    attempts = asyncio.Queue[None]()

    async def fail_twice() -> None:
        attempts.put_nowait(None)
        if attempts.qsize() < 3:
            raise StoreUnavailableError("away again")

    async with started(valkey_url, fail_twice), asyncio.timeout(LONG):
        while attempts.qsize() < 3:
            await asyncio.sleep(0.01)


async def test_an_exception_in_pending_work_does_not_end_reconnecting(
    private_valkey: PrivateValkey, caplog: pytest.LogCaptureFixture
) -> None:
    returns = Returns()

    async def fail() -> None:
        await returns()
        raise RuntimeError("a mistake")

    async with started(private_valkey.url, fail) as store:
        await returns.next()
        private_valkey.kill()
        await unavailable(1, store)
        returning = asyncio.create_task(returns.next())
        await asyncio.to_thread(private_valkey.start)
        await returning
        assert await run_claim(store) == [b"claimed", 1]
    assert "a mistake" in caplog.text


async def test_pending_work_is_repeated_on_request(valkey_url: str) -> None:
    returns = Returns()
    async with started(valkey_url, returns) as store:
        await returns.next()
        returning = asyncio.create_task(returns.next())
        for _ in range(5):
            store.retry_pending()
        await returning
    assert returns.count == 2


async def test_the_error_has_its_reason(
    tmp_path: Path, private_valkey: PrivateValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resilient_connection, "CONNECT_TIMEOUT", 0.1)
    async with started(f"unix://{tmp_path / 'nobody'}") as store:
        assert "No such file" in (store.error or "")
    private_valkey.freeze()
    async with started(private_valkey.url) as store:
        assert store.error == "cannot be reached: no response in time"
    private_valkey.thaw()


async def test_annotations_of_many_callers_are_all_stored(store: RedisClient, valkey: redis.Redis) -> None:
    valkey.hset(CONTACT.message("AC/SM"), "answer", "x")
    notes = (store.run(note(CONTACT, number)) for number in range(1000))
    assert await asyncio.gather(*notes) == [1] * 1000
    assert valkey.hlen(CONTACT.message("AC/SM")) == 1001


@pytest.mark.parametrize("refusal", [("replicaof", "127.0.0.1 1"), ("min-replicas-to-write", "1")])
async def test_a_refusal_has_the_master_located_again(tmp_path: Path, refusal: tuple[str, str]) -> None:
    with PrivateValkey(tmp_path / "1") as first, PrivateValkey(tmp_path / "2") as second:
        masters = [RedisUrl.parse(first.url).seeds[0]]

        async def locate() -> Address:
            return masters[-1]

        store = RedisClient(locate)
        await store.start()
        try:
            await run_claim(store)
            masters += RedisUrl.parse(second.url).seeds
            with first.client() as client:
                if refusal[0] == "replicaof":
                    client.execute_command("REPLICAOF", *refusal[1].split())
                else:
                    client.config_set(*refusal)
            await unavailable(1, store)
            async with asyncio.timeout(LONG):
                while store.error is not None:
                    await asyncio.sleep(0.01)
            assert await run_claim(store) == [b"claimed", 1]
        finally:
            await store.aclose()
