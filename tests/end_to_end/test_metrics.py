"""The metrics of two workers, as one scraper with one connection reads them from one of the two."""

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

    async def up(self) -> bool:
        """Tell whether the metrics say that Redis serves."""
        async with self.session.get(f"{self.router.url}/metrics") as response:
            told = re.search("^sms_router_store_up (.*)$", await response.text(), re.MULTILINE)
        assert told is not None
        return float(told[1]) == 1

    async def down_after_a_message(self) -> bool:
        """Send a message, which meets the frozen Redis, and look."""
        await self.router.deliver(webhook())
        return not await self.up()

    async def up_with_two_workers(self, but: int = 0) -> bool:
        """Tell whether Redis serves two workers, of which none is the process ``but``."""
        return await self.up() and len(self.workers) == 2 and but not in self.workers

    @property
    def workers(self) -> set[int]:
        """The processes whose gauges are shown."""
        folder = self.router.metrics_dir
        assert folder is not None
        return {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_livemin_*.db")}


@pytest.mark.slow
async def test_any_worker_tells_what_all_of_them_see_and_forgets_the_dead(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_router(environment={"WORKERS": "2"})
    async with aiohttp.ClientSession() as session:
        scraper = Scraper(router, session)
        await wait_until(scraper.up_with_two_workers)
        valkey.freeze()
        await wait_until(scraper.down_after_a_message)
        killed = min(scraper.workers)
        os.kill(killed, signal.SIGKILL)
        valkey.thaw()
    async with aiohttp.ClientSession() as session:
        scraper = Scraper(router, session)
        await wait_until(lambda: scraper.up_with_two_workers(but=killed))
