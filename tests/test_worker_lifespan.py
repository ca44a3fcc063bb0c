"""Starting and stopping a worker's parts when one of them fails."""

import asyncio
from pathlib import Path

import pytest
import redis
from starlette.routing import Router

from sms_router.application import build
from sms_router.config.settings import load_settings
from sms_router.membership.sync.rate_sync import RateSync
from sms_router.routing.inbox.inbox import Inbox
from sms_router.store.schema import SchemaError
from tests.end_to_end.router_process import PUBLIC, TOKEN


@pytest.fixture
def router(tmp_path: Path, valkey_url: str) -> Router:
    (tmp_path / "router.toml").write_text(f'[router]\nhandlers = []\ndata_dir = "{tmp_path}/data"\n')
    (tmp_path / "keywords.toml").write_text('[default]\nreply = "Hello."\n')
    environment = {
        "SMS_ROUTER_CONFIG": str(tmp_path),
        "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "PUBLIC_URL": PUBLIC,
        "REDIS_URL": valkey_url,
    }
    return build(load_settings(environment))


async def test_all_parts_are_stopped_when_one_fails_to_stop(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = RateSync.aclose

    async def fail(rates: RateSync) -> None:
        await stop(rates)
        raise OSError("the disk is gone")

    monkeypatch.setattr(RateSync, "aclose", fail)
    before = asyncio.all_tasks()
    with pytest.raises(OSError, match="the disk is gone"):
        async with router.lifespan_context(router):
            assert asyncio.all_tasks() > before
            assert "erasures" in {task.get_name() for task in asyncio.all_tasks()}
    assert asyncio.all_tasks() == before


async def test_all_parts_are_stopped_when_one_fails_to_start(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Inbox) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Inbox, "start", fail)
    before = asyncio.all_tasks()
    with pytest.raises(OSError, match="the disk is gone"):
        async with router.lifespan_context(router):
            pytest.fail("served")
    assert asyncio.all_tasks() == before


async def test_a_worker_refuses_redis_with_data_of_another_version(
    router: Router, valkey: redis.Redis
) -> None:
    valkey.set("sms-router:schema", "2")
    before = asyncio.all_tasks()
    with pytest.raises(SchemaError, match="Redis has data of schema 2, and this sms-router needs schema 1"):
        async with router.lifespan_context(router):
            pytest.fail("served")
    assert asyncio.all_tasks() == before
    probe = b"sms-router:probe"  # expires by itself
    assert {*valkey.scan_iter()} - {probe} == {b"sms-router:schema"}


async def test_a_worker_writes_the_version_of_its_data(router: Router, valkey: redis.Redis) -> None:
    async with router.lifespan_context(router):
        assert valkey.get("sms-router:schema") == b"1"
