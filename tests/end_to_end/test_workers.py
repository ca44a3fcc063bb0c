"""Workers that end, and workers that hang: another one starts, and the log states which it was."""

from __future__ import annotations

import asyncio
import signal

import psutil
import pytest

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import RouterProcess, webhook


async def wait_for_log(router: RouterProcess, text: str) -> None:
    async with asyncio.timeout(60):
        while text not in router.log:
            await asyncio.sleep(0.05)


def workers_of(router: RouterProcess) -> list[psutil.Process]:
    assert router.process is not None
    children = psutil.Process(router.process.pid).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.slow
async def test_a_worker_that_ends_and_one_that_hangs_are_reported_apart(start_router: StartRouter) -> None:
    router = start_router(environment={"WORKERS": "2"})
    for worker in workers_of(router):
        await wait_for_log(router, f"worker {worker.pid} serves")
    ended, hung = workers_of(router)
    ended.send_signal(signal.SIGKILL)
    await wait_for_log(router, f"worker {ended.pid} has ended (exit code -9); another one starts")
    hung.send_signal(signal.SIGSTOP)
    killed = "did not respond for 5 s and was killed: it hangs, or gets no processor time; another one starts"
    await wait_for_log(router, f"worker {hung.pid} {killed}")
    assert f"worker {hung.pid} has ended" not in router.log
    assert (await router.deliver(webhook("HOURS"))).status == 200
