"""A running router with a console, and an operator's client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.end_to_end.conftest import publish_senders, start_router, twilio, valkey
from tests.end_to_end.router_process import RouterProcess, write_configuration
from tests.store.private_valkey import PrivateValkey
from tests.web.console.client import PASSWORD, ConsoleClient

__all__ = ["start_router", "twilio", "valkey"]  # fixtures too


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateValkey]:
    """Give a Valkey that has the Service's senders, to all tests of a file."""
    server = PrivateValkey(tmp_path_factory.mktemp("v"))
    server.start()
    asyncio.run(publish_senders(server.url))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory, server: PrivateValkey) -> Iterator[RouterProcess]:
    """Give a router with a console, to all tests of a file."""
    folder = write_configuration(tmp_path_factory.mktemp("c"))
    environment = {"CONSOLE_PASSWORD": PASSWORD, "API_TOKEN": "a-token-of-16-characters"}
    running = RouterProcess(folder, server.url, environment).start()
    yield running
    running.kill()


@pytest.fixture
def anonymous(router: RouterProcess) -> Iterator[ConsoleClient]:
    """Give a client that has not logged in."""
    with ConsoleClient(router.url) as client:
        yield client


@pytest.fixture
def operator(anonymous: ConsoleClient) -> ConsoleClient:
    """Give a client that has logged in."""
    anonymous.log_in()
    return anonymous
