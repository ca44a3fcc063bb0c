"""The modules that a worker must not load, because they take most of its memory."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import KEYWORDS_TOML, RouterProcess, webhook
from tests.end_to_end.sandbox_twilio import SHORT_DEADLINE, SandboxTwilio
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until

UNNEEDED_MODULES = {
    "twilio.rest.api": "7 MB: all resources of the older API; a worker reads three of them",
    "twilio.rest.messaging": "2 MB: all resources of the newer API; a worker reads one Service",
    "aiohttp": "8 MB with its dependencies; only forwards use it",
    "opentelemetry.exporter": "needed for traces alone",
    "phonenumbers.geodata": "locations of numbers in all languages",
    "phonenumbers.carrierdata": "carriers of numbers in all languages",
    "sms_router.sandbox": "the sandbox has a process of its own",
    "sms_router.cli.messages.messages": "only the command line loads a command",
    "sms_router.membership.admin": "only commands change the membership at Twilio",
    "rich.markdown": "only help pages are rendered with it",
    "pygments": "comes with rich's tracebacks",
}
"""Modules that a worker without forwards must not load, and the reason."""


@pytest.mark.slow
async def test_a_worker_that_reads_and_sends_loads_only_the_modules_it_needs(
    start_router: StartRouter, twilio: SandboxTwilio, valkey: PrivateValkey, tmp_path: Path
) -> None:
    router = start_without_senders(start_router, twilio, valkey)

    async def is_ready() -> bool:
        return (await router.fetch("/readyz")).status == 200

    await wait_until(is_ready)  # it has read the senders from Twilio
    await router.deliver(webhook(f"HOLD {tmp_path / 'release'}"))
    (tmp_path / "release").touch()
    await twilio.expect_messages(("12345", "released"))  # sent by REST
    modules = await loaded_modules(router, tmp_path / "modules")
    assert {
        "sms_router.membership.source",
        "sms_router.twilio.rest",
        "twilio.rest",
        "requests",
    } <= modules
    assert {name: reason for name, reason in UNNEEDED_MODULES.items() if name in modules} == {}


@pytest.mark.parametrize("name", UNNEEDED_MODULES)
def test_each_module_that_must_not_be_loaded_exists(name: str) -> None:
    assert find_spec(name) is not None


FORWARDED = """
[[keyword]]
words = ["VOTE"]
forward = { url = "http://127.0.0.1:9/sms" }
"""


@pytest.mark.parametrize(("more", "keywords"), [("", FORWARDED), ("number_urls = true", KEYWORDS_TOML)])
async def test_a_worker_with_forwards_loads_the_http_client_at_the_start(
    start_router: StartRouter, tmp_path: Path, more: str, keywords: str
) -> None:
    router = start_router(more, keywords=keywords)
    assert {"aiohttp", "sms_router.routing.upstream.http_client"} <= await loaded_modules(
        router, tmp_path / "modules"
    )


def start_without_senders(
    start_router: StartRouter, twilio: SandboxTwilio, valkey: PrivateValkey
) -> RouterProcess:
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    return start_router(SHORT_DEADLINE, twilio.environment)


async def loaded_modules(router: RouterProcess, file: Path) -> frozenset[str]:
    """Return the names of the modules that a worker has loaded; it writes them to the file."""
    assert "written" in (await router.deliver(webhook(f"LOADED {file}"))).text
    return await asyncio.to_thread(lambda: frozenset(file.read_text().split()))
