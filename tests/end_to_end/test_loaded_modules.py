"""What a worker does not load: its memory is for the most part the modules that it holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import KEYWORDS_TOML, RouterProcess, webhook
from tests.end_to_end.sandbox_twilio import SHORT_DEADLINE, SandboxTwilio
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until

HEAVY = {
    "twilio.rest.api": "7 MB: all that Twilio's older API offers, of which a worker needs three lists",
    "twilio.rest.messaging": "2 MB: all of the newer API, of which a worker needs one Service",
    "aiohttp": "8 MB with what it brings along; only forwards are sent with it",
    "opentelemetry.exporter": "needed for traces alone",
    "phonenumbers.geodata": "places of numbers in all languages",
    "phonenumbers.carrierdata": "carriers of numbers in all languages",
    "sms_router.sandbox": "the offline Twilio has a process of its own",
    "sms_router.cli.messages.messages": "a command is loaded when it is typed",
    "sms_router.membership.admin": "only commands change what Twilio knows",
    "rich.markdown": "help pages alone are rendered with it",
    "pygments": "comes with rich's tracebacks",
}
"""Modules that a worker which forwards nothing must not hold, and why."""


@pytest.mark.slow
async def test_a_worker_that_reads_and_sends_loads_only_what_it_needs(
    start_router: StartRouter, twilio: SandboxTwilio, valkey: PrivateValkey, tmp_path: Path
) -> None:
    router = start_without_senders(start_router, twilio, valkey)
    await wait_until(is_ready(router))  # the senders were read from Twilio
    await router.deliver(webhook(f"HOLD {tmp_path / 'go'}"))
    (tmp_path / "go").touch()
    await twilio.expect_messages(("12345", "released"))  # sent by REST
    modules = await loaded_by(router, tmp_path / "modules")
    assert {
        "sms_router.membership.source",
        "sms_router.twilio.rest",
        "twilio.rest",
        "requests",
    } <= modules
    assert {name: why for name, why in HEAVY.items() if name in modules} == {}


@pytest.mark.parametrize("name", HEAVY)
def test_what_must_not_be_loaded_is_there_to_be_loaded(name: str) -> None:
    assert find_spec(name) is not None


FORWARDED = """
[[keyword]]
words = ["VOTE"]
forward = { url = "http://127.0.0.1:9/sms" }
"""


@pytest.mark.parametrize(("more", "keywords"), [("", FORWARDED), ("number_urls = true", KEYWORDS_TOML)])
async def test_a_worker_that_may_forward_is_ready_for_it(
    start_router: StartRouter, tmp_path: Path, more: str, keywords: str
) -> None:
    router = start_router(more, keywords=keywords)
    assert {"aiohttp", "sms_router.routing.upstream.http_client"} <= await loaded_by(
        router, tmp_path / "modules"
    )


def start_without_senders(
    start_router: StartRouter, twilio: SandboxTwilio, valkey: PrivateValkey
) -> RouterProcess:
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    return start_router(SHORT_DEADLINE, twilio.environment)


def is_ready(router: RouterProcess) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        return (await router.fetch("/readyz")).status == 200

    return ready


async def loaded_by(router: RouterProcess, file: Path) -> frozenset[str]:
    """Ask a worker which modules it holds."""
    assert "written" in (await router.deliver(webhook(f"LOADED {file}"))).text
    return names_in(file)


def names_in(file: Path) -> frozenset[str]:
    return frozenset(file.read_text().split())
