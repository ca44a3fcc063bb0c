from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from sms_router.membership.snapshot import ServiceProperties, Snapshot
from sms_router.membership.snapshot_store import SnapshotStore
from sms_router.sandbox.application import create_sandbox
from sms_router.sandbox.hosting import serve
from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.store.redis_py import async_client
from sms_router.twilio.webhook_url import NumberUrls
from tests.end_to_end.router_process import (
    ACCOUNT,
    KEYWORDS_TOML,
    SERVICE,
    TOKEN,
    RouterProcess,
    write_configuration,
)
from tests.end_to_end.sandbox_twilio import SandboxTwilio
from tests.sandbox.sandbox_fixture import demo_world
from tests.store.private_valkey import PrivateValkey

SMS_AND_MMS = Capability.SMS | Capability.MMS

SENDERS = (
    Sender("SC" + "1" * 32, "12345", SenderKind.SHORT_CODE, "US", SMS_AND_MMS),
    Sender("PN" + "1" * 32, "+14155550100", SenderKind.LONG_CODE, "US", SMS_AND_MMS),
    Sender("PN" + "2" * 32, "+12125550100", SenderKind.LONG_CODE, "US", SMS_AND_MMS),
    Sender("PN" + "3" * 32, "+18885550100", SenderKind.TOLL_FREE, "US", SMS_AND_MMS),
    Sender("PN" + "4" * 32, "+16475550100", SenderKind.LONG_CODE, "CA", Capability.SMS),
)


async def publish_senders(url: str, urls: Mapping[str, NumberUrls] | None = None, version: int = 1) -> None:
    """Store a snapshot of the Service's senders, so that Twilio's API is not needed."""
    settings = ServiceProperties("Test")
    snapshot = Snapshot(ACCOUNT, SERVICE, SENDERS, settings, urls or {}, time.time(), version)
    async with async_client(url, connect_within=2) as redis:
        await SnapshotStore(redis).publish(snapshot, snapshot.to_bytes())


@pytest.fixture
async def valkey(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PrivateValkey]:
    """A Valkey with a snapshot of the Service's senders."""
    server = PrivateValkey(tmp_path_factory.mktemp("v"), appendfsync="everysec")
    server.start()
    await publish_senders(server.url)
    yield server
    server.kill()


StartRouter = Callable[..., RouterProcess]


@pytest.fixture
def start_router(tmp_path: Path, valkey: PrivateValkey) -> Iterator[StartRouter]:
    """A function that starts routers on the test's Valkey; ``more`` is appended to ``[router]``."""
    routers: list[RouterProcess] = []

    def start(
        more: str = "",
        environment: Mapping[str, str] | None = None,
        handlers: str = "tests.end_to_end.handlers",
        keywords: str = KEYWORDS_TOML,
    ) -> RouterProcess:
        folder = write_configuration(tmp_path / "config", more, handlers, keywords)
        router = RouterProcess(folder, valkey.url, environment or {})
        routers.append(router)
        return router.start()

    yield start
    for router in routers:
        router.kill()


@pytest.fixture
async def twilio() -> AsyncIterator[SandboxTwilio]:
    """A sandbox with the auth token of these tests."""
    world = replace(demo_world(), auth_token=TOKEN)
    async with serve(create_sandbox(world, seed=1)) as url, aiohttp.ClientSession() as session:
        yield SandboxTwilio(url, session)
