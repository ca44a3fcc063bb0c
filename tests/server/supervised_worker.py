"""A worker and its supervisor, each a process, for the test beside this file.

``python -m tests.server.supervised_worker`` is a supervisor that starts one worker and says its own
id. The worker says that it watches, and at its end why it stopped.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

from sms_router.server.signals import SUPERVISOR, worker_signals


async def work() -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with worker_signals(os.environ, lambda: print("reloaded", flush=True)):
        print("working", os.environ[SUPERVISOR], os.getpid(), flush=True)
        await stopped.wait()
    print("stopped gracefully", flush=True)


if __name__ == "__main__":
    if SUPERVISOR in os.environ:
        asyncio.run(work())
    else:
        environment = {**os.environ, SUPERVISOR: str(os.getpid())}
        subprocess.run([sys.executable, "-m", "tests.server.supervised_worker"], env=environment, check=False)
