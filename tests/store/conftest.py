from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sms_router.store.store import Store
from tests.store.shared_stores import started


@pytest.fixture
async def store(valkey_url: str) -> AsyncIterator[Store]:
    async with started(valkey_url) as store:
        yield store
