"""The metrics of two workers: each of them serves the figures of both."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass

import aiohttp
import pytest

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import RouterProcess, webhook
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until


@dataclass(frozen=True, slots=True)
class Scraper:
    """Reads the metrics over one connection, which one worker serves."""

    router: RouterProcess
    session: aiohttp.ClientSession

    async def is_redis_up(self) -> bool:
        """Whether Redis is up according to the metrics of all workers."""
        async with self.session.get(f"{self.router.url}/metrics") as response:
            metric = re.search("^sms_router_store_up (.*)$", await response.text(), re.MULTILINE)
        assert metric is not None
        return float(metric[1]) == 1

    async def is_redis_down_after_a_message(self) -> bool:
        """Deliver a message, so that a worker detects a frozen Redis; return whether the metrics show it."""
        await self.router.deliver(webhook())
        return not await self.is_redis_up()

    async def is_redis_up_for_two_workers(self, killed: int = 0) -> bool:
        """Whether Redis is up according to two workers, neither of which is the killed process."""
        return await self.is_redis_up() and len(self.workers) == 2 and killed not in self.workers

    @property
    def workers(self) -> set[int]:
        """The ids of the processes whose gauges are served."""
        folder = self.router.metrics_dir
        assert folder is not None
        return {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_livemin_*.db")}


@pytest.mark.slow
async def test_a_worker_serves_the_metrics_of_all_workers_without_those_of_a_killed_one(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_router(environment={"WORKERS": "2"})
    async with aiohttp.ClientSession() as session:
        scraper = Scraper(router, session)
        await wait_until(scraper.is_redis_up_for_two_workers)
        valkey.freeze()
        await wait_until(scraper.is_redis_down_after_a_message)
        killed = min(scraper.workers)
        os.kill(killed, signal.SIGKILL)
        valkey.thaw()
    async with aiohttp.ClientSession() as session:
        scraper = Scraper(router, session)
        await wait_until(lambda: scraper.is_redis_up_for_two_workers(killed))
