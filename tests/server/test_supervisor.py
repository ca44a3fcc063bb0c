"""Workers on slow machines are not taken for hung while they start."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest
import uvicorn

from sms_router.server.supervisor import WorkerProcess

REPOSITORY = Path(__file__).parents[2]


class _Application:
    """Records the call that imports the handlers."""

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls

    def import_handlers(self) -> None:
        self._calls.append("handlers are imported")


def test_handlers_are_imported_before_the_event_loop_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_: calls.append("the loop runs"))
    process = WorkerProcess(uvicorn.Config(_Application(calls)), [])  # type: ignore[arg-type]
    process.target()
    assert calls == ["handlers are imported", "the loop runs"]


@pytest.mark.slow
async def test_a_worker_that_starts_slowly_is_not_killed() -> None:
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.server.slow_worker",
        cwd=REPOSITORY, env={"PATH": os.environ["PATH"]}, start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert supervisor.stderr is not None
        reported: list[str] = []
        async with asyncio.timeout(60):
            while len(reported) < 2:
                line = (await supervisor.stderr.readline()).decode()
                reported += [line] if line.startswith("worker ") else []
        assert all(line.endswith(" serves\n") for line in reported)
        supervisor.terminate()
        assert await asyncio.wait_for(supervisor.wait(), 30) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(supervisor.pid, signal.SIGKILL)
