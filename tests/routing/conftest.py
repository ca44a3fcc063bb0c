"""Fixtures of several tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.routing.workers import Worker, worker


@pytest.fixture
async def one(valkey_url: str, tmp_path: Path) -> AsyncIterator[Worker]:
    async with worker(valkey_url, tmp_path) as one:
        yield one
