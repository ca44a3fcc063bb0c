"""A real router whose configuration changes: every message is answered, by the old rules or the new."""

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

NEW = KEYWORDS_TOML.replace("9 to 5", "10 to 4")
BROKEN = NEW.replace('words = ["HOURS"]', 'words = ["HOURS", "BROKEN"]')
CONTACTS = (f"+1415555{number:04}" for number in count_from(1000))
"""Each asks once, so that nobody takes them for a loop."""


def replace(router: RouterProcess, content: str) -> None:
    """Write the file beside the old one, and put it into its place."""
    new = router.folder / "new.toml"
    new.write_text(content)
    new.replace(router.folder / "keywords.toml")


async def says(router: RouterProcess, text: str, times: int = 1) -> bool:
    """Tell whether each of some messages is answered so; with several workers, all of them are asked."""
    answers = [await router.deliver(webhook("HOURS", From=next(CONTACTS))) for _ in range(times)]
    return all(text in answer.text for answer in answers)


async def reasons(router: RouterProcess) -> list[str]:
    told: list[str] = json.loads((await router.fetch("/readyz")).body)["reasons"]
    return [reason for reason in told if "configuration" in reason]


def workers_of(router: RouterProcess) -> set[int]:
    """Return the processes of several workers that have found Redis up, and so are at work."""
    folder = router.metrics_dir
    files = folder.glob("gauge_livemin_*.db") if folder is not None else ()
    return {int(file.stem.rpartition("_")[2]) for file in files if finds_redis_up(file)}


def finds_redis_up(file: Path) -> bool:
    figures = MmapedDict.read_all_values_from_file(str(file))
    return any("sms_router_store_up" in key and value == 1 for key, value, *_ in figures)


async def running(router: RouterProcess, workers: int) -> bool:
    """Tell whether so many workers are at work."""
    return workers == 1 or len(workers_of(router)) == workers


async def count(router: RouterProcess, outcome: str) -> float:
    page = (await router.fetch("/metrics")).text
    found = re.search(rf'^sms_router_reloads_total{{outcome="{outcome}"}} (.*)$', page, re.MULTILINE)
    return float(found[1]) if found else 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_changed_file_is_at_work_in_every_worker(start_router: StartRouter, workers: str) -> None:
    router = start_router(environment={"WORKERS": workers})
    await wait_until(lambda: running(router, int(workers)))
    assert await says(router, "9 to 5", 8)
    replace(router, NEW)

    async def told() -> bool:
        return router.log.count("the configuration was read again: changed HOURS") == int(workers)

    await wait_until(told)
    assert await says(router, "10 to 4", 8)
    assert await count(router, "applied") == int(workers)


async def test_a_broken_file_is_refused_until_it_is_mended(start_router: StartRouter) -> None:
    router = start_router()
    replace(router, BROKEN)
    await wait_until(lambda: reasons(router))
    (reason,) = await reasons(router)
    assert "'BROKEN' (first-word; everywhere) of BROKEN" in reason
    assert "keywords.toml, keyword 1): give one of them" in reason
    assert await says(router, "9 to 5", 4)
    assert await count(router, "refused") == 1
    assert "\nsms_router_configuration_refused 1.0" in (await router.fetch("/metrics")).text
    told = "the changed configuration is refused, the old one stays: 'BROKEN'"
    assert told in " ".join(router.log.split())
    replace(router, NEW)
    await wait_until(lambda: says(router, "10 to 4"))
    assert await reasons(router) == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_hang_up_signal_reloads_and_stops_nothing(start_router: StartRouter, workers: str) -> None:
    router = start_router(environment={"WORKERS": workers})
    assert router.process is not None
    held = asyncio.create_task(router.deliver(webhook(f"HOLD {router.folder / 'go'}")))
    await wait_until(lambda: asyncio.to_thread(lambda: bool(router.runs)))

    async def each_has_reloaded() -> bool:
        assert router.process is not None
        router.process.send_signal(signal.SIGHUP)  # again and again: a worker that is starting hears nothing
        if workers == "1":
            return await count(router, "unchanged") > 0
        folder = router.metrics_dir
        figures = folder.glob("counter_*.db") if folder is not None else ()
        return sum(b"unchanged" in file.read_bytes() for file in figures) == int(workers)

    await wait_until(each_has_reloaded)
    replace(router, NEW.replace("[default]", "[other]"))
    router.process.send_signal(signal.SIGHUP)
    await wait_until(lambda: reasons(router))
    assert await says(router, "9 to 5", 4)
    (router.folder / "go").touch()
    assert "released" in (await held).text
    router.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(router.process.wait, 30) in (0, -signal.SIGTERM)
    assert "Traceback" not in router.log


@pytest.mark.slow
async def test_no_message_is_lost_while_files_change_all_the_time(start_router: StartRouter) -> None:
    router = start_router()
    assert router.process is not None
    answers = []
    for number in range(60):
        replace(router, KEYWORDS_TOML.replace("9 to 5", f"{number} to 5") if number % 3 else BROKEN)
        router.process.send_signal(signal.SIGHUP)
        answers += [
            asyncio.create_task(router.deliver(webhook("HOURS", From=next(CONTACTS)))) for _ in range(5)
        ]
        await asyncio.sleep(0.01)
    for answer in await asyncio.gather(*answers):
        assert answer.status == 200
        assert re.search(r"We are open \d+ to 5, SAN FRANCISCO.", answer.text)
    replace(router, NEW)
    await wait_until(lambda: says(router, "10 to 4"))


@pytest.mark.slow
async def test_a_worker_that_is_lost_meanwhile_comes_back_with_the_last_right_rules(
    start_router: StartRouter,
) -> None:
    router = start_router(environment={"WORKERS": "2"})

    await wait_until(lambda: running(router, 2))
    assert await says(router, "9 to 5", 4)
    replace(router, BROKEN)
    await wait_until(lambda: reasons(router))
    lost = min(workers_of(router))
    os.kill(lost, signal.SIGKILL)

    async def two_again() -> bool:
        return len(workers_of(router) - {lost}) >= 2 and await says(router, "9 to 5", 4)

    await wait_until(two_again, seconds=40)
    assert await reasons(router)
    replace(router, NEW)

    async def mended() -> bool:
        return await says(router, "10 to 4", 4)

    await wait_until(mended)
