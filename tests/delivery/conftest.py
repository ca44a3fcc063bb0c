from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from tests.delivery.desk import Desk, desk


@pytest.fixture
async def at(valkey_url: str, valkey: redis.Redis, tmp_path: Path) -> AsyncIterator[Desk]:
    """Give one worker's outbox."""
    async with desk(valkey_url, tmp_path, valkey) as one:
        yield one
    lasting = [key for key in valkey.scan_iter() if int(str(valkey.pttl(key))) < 0]
    assert lasting == [], "everything that is written expires"
