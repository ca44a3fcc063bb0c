from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from tests.delivery.outbox_fixture import OutboxFixture, run_outbox
from tests.store.private_valkey import assert_everything_expires


@pytest.fixture
async def fixture(valkey_url: str, valkey: redis.Redis, tmp_path: Path) -> AsyncIterator[OutboxFixture]:
    """Run the outbox of one worker; everything that it stores has an expiry."""
    async with run_outbox(valkey_url, tmp_path, valkey) as running:
        yield running
    assert_everything_expires(valkey)
