"""The recorded Twilio and the Redis of the tests of membership."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis as synchronous
from redis.asyncio import Redis

from sms_router.store.keys import CHECKLISTS, CHECKLISTS_VERSION, TEXTED
from sms_router.store.redis_py import sync_client
from tests.membership.conftest import base_url, clock, no_redis, redis, source, twilio

__all__ = ["base_url", "clock", "no_redis", "redis", "source", "twilio"]


@pytest.fixture
async def operator(redis: Redis, shared_server: str) -> AsyncIterator[synchronous.Redis]:
    """A client as commands use it; pending numbers are deleted before and after each test."""
    with sync_client(shared_server) as client:
        client.delete(CHECKLISTS, TEXTED, CHECKLISTS_VERSION)
        yield client
        client.delete(CHECKLISTS, TEXTED, CHECKLISTS_VERSION)
