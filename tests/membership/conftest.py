"""A recorded Twilio over HTTP, and a client of the Redis that the tests run on."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sms_router.membership.source import ServiceSource, twilio_source
from sms_router.store.redis_py import async_client
from sms_router.twilio.rest import build_client
from tests.membership.recorded import ACCOUNT, TOKEN, RecordedTwilio, serving
from tests.membership.timing import Clock


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
    return twilio_source(lambda: build_client(ACCOUNT, TOKEN, base_url, 5), ACCOUNT, twilio.service_sid)


@pytest.fixture
async def redis(shared_server: str, twilio: RecordedTwilio) -> AsyncIterator[Redis]:
    client = async_client(shared_server, connect_within=2)
    async with client:
        yield client
        async for key in client.scan_iter(f"*{twilio.service_sid}*"):
            await client.delete(key)


@pytest.fixture
async def no_redis(tmp_path: Path) -> AsyncIterator[Redis]:
    never = Retry(NoBackoff(), 0)
    async with Redis(unix_socket_path=str(tmp_path / "nobody"), retry=never) as client:
        yield client
