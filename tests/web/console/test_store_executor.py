from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest
import redis

from sms_router.store.errors import StoreUnavailableError
from sms_router.web.console.store_executor import StoreExecutor
from tests.store.private_valkey import PrivateValkey


async def test_work_is_done_in_a_thread_of_the_executor(valkey_url: str) -> None:
    def where(client: redis.Redis) -> tuple[object, str]:
        return client.ping(), threading.current_thread().name

    with contextlib.closing(StoreExecutor(valkey_url)) as executor:
        answered, name = await executor.run_with_client(where)
    assert (answered, name.partition("_")[0]) == (True, "console")


async def test_work_beyond_the_bound_is_refused_until_some_has_ended(valkey_url: str) -> None:
    gate = threading.Event()
    with contextlib.closing(StoreExecutor(valkey_url)) as executor:
        calls = [asyncio.ensure_future(executor.run_with_client(lambda _: gate.wait(20))) for _ in range(18)]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailableError, match="too many pages"):
            await executor.run_with_client(lambda client: client.ping())
        gate.set()
        assert all(await asyncio.gather(*calls))
        assert await executor.run_with_client(lambda client: client.ping())


async def test_work_that_takes_too_long_times_out(valkey_url: str) -> None:
    gate = threading.Event()
    with contextlib.closing(StoreExecutor(valkey_url, timeout=0.01)) as executor:
        with pytest.raises(StoreUnavailableError, match="could not be read in time"):
            await executor.run_with_client(lambda _: gate.wait(20))
        gate.set()


async def test_redis_is_used_again_once_it_is_available(private_valkey: PrivateValkey) -> None:
    with contextlib.closing(StoreExecutor(private_valkey.url)) as executor:
        assert await executor.run_with_client(lambda client: client.ping())
        private_valkey.kill()
        with pytest.raises(StoreUnavailableError, match="Redis is not available"):
            await executor.run_with_client(lambda client: client.ping())
        private_valkey.start()
        assert await executor.run_with_client(lambda client: client.ping())


async def test_an_exception_of_the_work_is_raised_as_it_is(valkey_url: str) -> None:
    with contextlib.closing(StoreExecutor(valkey_url)) as executor, pytest.raises(ZeroDivisionError):
        await executor.run_with_client(lambda _: 1 // 0)
