from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest
import redis

from sms_router.store.errors import StoreUnavailableError
from sms_router.web.console.store_executor import MOST_WAITING, THREADS, StoreExecutor
from tests.store.private_valkey import PrivateValkey


async def test_work_is_done_in_a_thread_of_the_archives(valkey_url: str) -> None:
    def where(client: redis.Redis) -> tuple[object, str]:
        return client.ping(), threading.current_thread().name

    with contextlib.closing(StoreExecutor(valkey_url)) as archive:
        answered, name = await archive.ask(where)
    assert (answered, name.partition("_")[0]) == (True, "console")


async def test_what_is_too_much_is_refused_and_room_is_made_again(valkey_url: str) -> None:
    gate = threading.Event()
    with contextlib.closing(StoreExecutor(valkey_url)) as archive:
        asked = [
            asyncio.ensure_future(archive.ask(lambda _: gate.wait(20))) for _ in range(THREADS + MOST_WAITING)
        ]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailableError, match="too many pages"):
            await archive.ask(lambda client: client.ping())
        gate.set()
        assert all(await asyncio.gather(*asked))
        assert await archive.ask(lambda client: client.ping())


async def test_work_that_takes_too_long_is_not_waited_for(valkey_url: str) -> None:
    gate = threading.Event()
    with contextlib.closing(StoreExecutor(valkey_url, patience=0.01)) as archive:
        with pytest.raises(StoreUnavailableError, match="could not be read in time"):
            await archive.ask(lambda _: gate.wait(20))
        gate.set()


async def test_a_redis_that_has_come_back_is_asked_again(private_valkey: PrivateValkey) -> None:
    with contextlib.closing(StoreExecutor(private_valkey.url)) as archive:
        assert await archive.ask(lambda client: client.ping())
        private_valkey.kill()
        with pytest.raises(StoreUnavailableError, match="Redis did not serve"):
            await archive.ask(lambda client: client.ping())
        private_valkey.start()
        assert await archive.ask(lambda client: client.ping())


async def test_a_mistake_in_the_work_is_no_outage(valkey_url: str) -> None:
    with contextlib.closing(StoreExecutor(valkey_url)) as archive, pytest.raises(ZeroDivisionError):
        await archive.ask(lambda _: 1 // 0)
