from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from tests.delivery.outbox_fixture import OutboxFixture, run_outbox


@pytest.fixture
async def fixture(valkey_url: str, valkey: redis.Redis, tmp_path: Path) -> AsyncIterator[OutboxFixture]:
    """Run the outbox of one worker; everything that it stores has an expiry."""
    async with run_outbox(valkey_url, tmp_path, valkey) as running:
        yield running
    lasting = [key for key in valkey.scan_iter() if int(str(valkey.pttl(key))) < 0]
    assert lasting == [], "everything that is written expires"
