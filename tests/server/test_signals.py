"""Workers end with their supervisor, and reload on their signal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sms_router.server.signals import RELOAD, worker_signals

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Family:
    """A supervisor and its worker; the worker's output ends when the worker does."""

    output: asyncio.StreamReader
    supervisor: int
    worker: int

    async def last_words(self) -> bytes:
        async with asyncio.timeout(20):
            return await self.output.read()


@asynccontextmanager
async def family(*before: str) -> AsyncIterator[Family]:
    process = await asyncio.create_subprocess_exec(
        *before, sys.executable, "-m", "tests.server.supervised_worker",
        cwd=REPOSITORY, env={"PATH": os.environ["PATH"]}, start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout
        _, supervisor, worker = (await process.stdout.readline()).split()
        yield Family(process.stdout, int(supervisor), int(worker))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def test_a_worker_stops_gracefully_when_its_supervisor_was_killed() -> None:
    async with family() as killed:
        os.kill(killed.supervisor, signal.SIGKILL)
        assert await killed.last_words() == b"stopped gracefully\n"


@pytest.mark.parametrize("number", [signal.SIGHUP, RELOAD])
@pytest.mark.parametrize("before", [(), ("nohup",)])
async def test_a_worker_reloads_on_its_signal(before: tuple[str, ...], number: signal.Signals) -> None:
    async with family(*before) as reported:
        os.kill(reported.worker, number)
        assert await reported.output.readline() == b"reloaded\n"
        os.kill(reported.worker, signal.SIGTERM)
        assert await reported.last_words() == b"stopped gracefully\n"


@pytest.mark.parametrize("environment", [{}, {"SMS_ROUTER_SUPERVISOR": ""}])
async def test_a_router_without_a_supervisor_checks_none(environment: dict[str, str]) -> None:
    before = signal.getsignal(signal.SIGHUP)
    async with worker_signals(environment, lambda: None):
        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert signal.getsignal(signal.SIGHUP) is before
