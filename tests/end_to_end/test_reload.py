"""Reloads of the configuration: every message is answered, by the old rules or the new ones."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from itertools import count as count_from
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import KEYWORDS_TOML, RouterProcess, webhook
from tests.waiting import wait_until

CHANGED_TOML = KEYWORDS_TOML.replace("9 to 5", "10 to 4")
BROKEN_TOML = CHANGED_TOML.replace('words = ["HOURS"]', 'words = ["HOURS", "BROKEN"]')
CONTACTS = (f"+1415555{number:04}" for number in count_from(1000))
"""A new contact for each message, so that the loop guard mutes none."""


def replace_keywords(router: RouterProcess, content: str) -> None:
    """Replace keywords.toml in one step."""
    new = router.folder / "new.toml"
    new.write_text(content)
    new.replace(router.folder / "keywords.toml")


async def is_answered(router: RouterProcess, text: str, times: int = 1) -> bool:
    """Whether each of ``times`` messages, each over its own connection, is answered with a text."""
    answers = [await router.deliver(webhook("HOURS", From=next(CONTACTS))) for _ in range(times)]
    return all(text in answer.text for answer in answers)


async def reasons(router: RouterProcess) -> list[str]:
    reported: list[str] = json.loads((await router.fetch("/readyz")).body)["reasons"]
    return [reason for reason in reported if "configuration" in reason]


def workers_of(router: RouterProcess) -> set[int]:
    """Return the ids of the worker processes that serve, which those do whose metric of Redis is 1."""
    folder = router.metrics_dir
    files = folder.glob("gauge_livemin_*.db") if folder is not None else ()
    return {int(file.stem.rpartition("_")[2]) for file in files if is_redis_up(file)}


def is_redis_up(file: Path) -> bool:
    metrics = MmapedDict.read_all_values_from_file(str(file))
    return any("sms_router_store_up" in key and value == 1 for key, value, *_ in metrics)


async def has_workers(router: RouterProcess, workers: int) -> bool:
    """Whether this number of workers serves."""
    return workers == 1 or len(workers_of(router)) == workers


async def count_reloads(router: RouterProcess, outcome: str) -> float:
    metrics = (await router.fetch("/metrics")).text
    match = re.search(rf'^sms_router_reloads_total{{outcome="{outcome}"}} (.*)$', metrics, re.MULTILINE)
    return float(match[1]) if match else 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_changed_file_takes_effect_in_every_worker(start_router: StartRouter, workers: str) -> None:
    router = start_router(environment={"WORKERS": workers})
    await wait_until(lambda: has_workers(router, int(workers)))
    assert await is_answered(router, "9 to 5", 8)
    replace_keywords(router, CHANGED_TOML)
    sentence = "the configuration was read again: changed HOURS"
    await wait_until(lambda: router.log.count(sentence) == int(workers))
    assert await is_answered(router, "10 to 4", 8)
    assert await count_reloads(router, "applied") == int(workers)


async def test_an_invalid_file_is_refused_until_it_is_corrected(start_router: StartRouter) -> None:
    router = start_router()
    replace_keywords(router, BROKEN_TOML)
    await wait_until(lambda: reasons(router))
    (reason,) = await reasons(router)
    assert "'BROKEN' (first-word; everywhere) of BROKEN" in reason
    assert "keywords.toml:3:9): give one of them" in reason
    assert await is_answered(router, "9 to 5", 4)
    assert await count_reloads(router, "refused") == 1
    assert "\nsms_router_configuration_refused 1.0" in (await router.fetch("/metrics")).text
    sentence = "the changed configuration is refused, the old one stays: 'BROKEN'"
    assert sentence in " ".join(router.log.split())
    replace_keywords(router, CHANGED_TOML)
    await wait_until(lambda: is_answered(router, "10 to 4"))
    assert await reasons(router) == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_sighup_reloads_and_a_running_handler_finishes(start_router: StartRouter, workers: str) -> None:
    router = start_router(environment={"WORKERS": workers})
    assert router.process is not None
    held = asyncio.create_task(router.deliver(webhook(f"HOLD {router.folder / 'release'}")))
    await router.wait_for_runs()

    async def has_reloaded_everywhere() -> bool:
        assert router.process is not None
        router.process.send_signal(signal.SIGHUP)  # repeatedly: a worker that is starting ignores it
        if workers == "1":
            return await count_reloads(router, "unchanged") > 0
        folder = router.metrics_dir
        files = folder.glob("counter_*.db") if folder is not None else ()
        return sum(b"unchanged" in file.read_bytes() for file in files) == int(workers)

    await wait_until(has_reloaded_everywhere)
    replace_keywords(router, CHANGED_TOML.replace("[default]", "[other]"))
    router.process.send_signal(signal.SIGHUP)
    await wait_until(lambda: reasons(router))
    assert await is_answered(router, "9 to 5", 4)
    (router.folder / "release").touch()
    assert "released" in (await held).text
    router.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(router.process.wait, 30) in (0, -signal.SIGTERM)
    assert "Traceback" not in router.log


@pytest.mark.slow
async def test_every_message_is_answered_while_the_file_changes_continuously(
    start_router: StartRouter,
) -> None:
    router = start_router()
    assert router.process is not None
    answers = []
    for number in range(60):
        replace_keywords(
            router, KEYWORDS_TOML.replace("9 to 5", f"{number} to 5") if number % 3 else BROKEN_TOML
        )
        router.process.send_signal(signal.SIGHUP)
        answers += [
            asyncio.create_task(router.deliver(webhook("HOURS", From=next(CONTACTS)))) for _ in range(5)
        ]
        await asyncio.sleep(0.01)
    for answer in await asyncio.gather(*answers):
        assert answer.status == 200
        assert re.search(r"We are open \d+ to 5, SAN FRANCISCO.", answer.text)
    replace_keywords(router, CHANGED_TOML)
    await wait_until(lambda: is_answered(router, "10 to 4"))


@pytest.mark.slow
async def test_a_restarted_worker_has_the_last_valid_rules(
    start_router: StartRouter,
) -> None:
    router = start_router(environment={"WORKERS": "2"})

    await wait_until(lambda: has_workers(router, 2))
    assert await is_answered(router, "9 to 5", 4)
    replace_keywords(router, BROKEN_TOML)
    await wait_until(lambda: reasons(router))
    killed = min(workers_of(router))
    os.kill(killed, signal.SIGKILL)

    async def has_two_workers_again() -> bool:
        return len(workers_of(router) - {killed}) >= 2 and await is_answered(router, "9 to 5", 4)

    await wait_until(has_two_workers_again, seconds=40)
    assert await reasons(router)
    replace_keywords(router, CHANGED_TOML)
    await wait_until(lambda: is_answered(router, "10 to 4", 4))
