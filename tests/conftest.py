"""A real Valkey for every test that uses one, and other kinds of Redis on request."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, settings

from tests.store.private_valkey import PrivateValkey, client_of
from tests.store.shared_stores import STORES, SharedStores

EXAMPLES = os.environ.get("EXAMPLES", "")
"""How many examples of each property `make slow` tries; `make test` tries 20."""

# A slow machine must not fail a property.
settings.register_profile(
    "patient",
    max_examples=int(EXAMPLES or 20),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With many examples, properties are slow tests."""
    for item in items if EXAMPLES else ():
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def stores() -> Iterator[SharedStores]:
    """Every kind of Redis that a test uses."""
    with contextlib.ExitStack() as running:
        yield SharedStores(running)


@pytest.fixture(scope="session", params=STORES)
def shared_server(request: pytest.FixtureRequest, stores: SharedStores) -> str:
    """URL of a server for the whole session; use `valkey_url`, which empties it for each test."""
    return stores.url(request.param)


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
