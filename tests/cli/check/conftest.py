"""The server of these tests is configured to save its data: ``check`` warns of one that is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis


@pytest.fixture(autouse=True)
def persistence(valkey: redis.Redis) -> Iterator[None]:
    """Have the server save its data; none of these tests lasts until it does."""
    valkey.config_set("save", "3600 1000000")
    yield
    valkey.config_set("save", "")
