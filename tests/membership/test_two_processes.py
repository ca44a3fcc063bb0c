"""Two router processes, one Valkey, one sandbox: a change by a command reaches both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import requests

from sms_router.sandbox.application import create_sandbox
from sms_router.sandbox.world.loader import load_world
from tests.end_to_end.router_process import (
    ACCOUNT,
    PUBLIC,
    SERVICE,
    TOKEN,
    HttpResponse,
    RouterProcess,
    webhook,
    write_configuration,
)
from tests.membership.recorded import serving
from tests.waiting import wait_until

DEMO = replace(
    load_world(Path(__file__).parents[2] / "config" / "sandbox.toml", PUBLIC),
    account_sid=ACCOUNT,
    auth_token=TOKEN,
)
CODE = "SC" + "0" * 31 + "1"


@pytest.fixture
def sandbox() -> Iterator[str]:
    with serving(create_sandbox(DEMO)) as url:
        yield url


@pytest.fixture
def routers(tmp_path: Path, valkey_url: str, sandbox: str) -> Iterator[list[RouterProcess]]:
    environment = {"TWILIO_API_BASE_URL": sandbox}
    two = [
        RouterProcess(write_configuration(tmp_path / name), valkey_url, environment) for name in ("a", "b")
    ]
    try:
        for router in two:
            router.start()
        yield two
    finally:
        for router in two:
            if router.process is not None:
                router.kill()


def twilio_is_down(sandbox: str, *, down: bool) -> None:
    url, fault = f"{sandbox}/sandbox/faults", {"rest": {"kind": "status", "status": 503}}
    answer = requests.post(url, json=fault, timeout=5) if down else requests.delete(url, timeout=5)
    assert answer.ok


async def answers_from(router: RouterProcess, sender: str) -> bool:
    answer: HttpResponse = await router.deliver(webhook("HOURS"))
    assert answer.status == 200
    return f'from="{sender}"' in answer.text


async def test_a_removed_short_code_is_used_by_neither_router_until_it_is_added_again(
    routers: list[RouterProcess], sandbox: str
) -> None:
    for router in routers:
        await wait_until(partial(answers_from, router, "12345"))
    done = routers[0].command("short-codes", "remove", CODE, "--yes")
    assert done.returncode == 0, done.stderr
    for router in routers:
        await wait_until(partial(answers_from, router, "+14155550100"))
    twilio_is_down(sandbox, down=True)
    for router in routers:
        assert await answers_from(router, "+14155550100")
    twilio_is_down(sandbox, down=False)
    done = routers[1].command("short-codes", "add", CODE)
    assert done.returncode == 0, done.stderr
    for router in routers:
        await wait_until(partial(answers_from, router, "12345"))
    metrics = (await routers[0].fetch("/metrics")).text
    assert f'sms_router_pool_senders{{service="{SERVICE}"}} 5.0' in metrics
    history = routers[0].command("membership", "history").stdout
    assert history.count("short code 12345") == 2
