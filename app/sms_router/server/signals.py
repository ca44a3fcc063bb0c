"""Signals of the router's processes, and the end of workers whose supervisor is gone.

SIGHUP has two meanings: "reload the configuration" from an operator, and "the terminal was closed" from the
kernel. Whether the terminal still exists tells which one it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from types import FrameType

from sms_router.tasks import cancel_and_wait

SUPERVISOR = "SMS_ROUTER_SUPERVISOR"
"""The environment variable with the supervisor's process id, for its workers."""

RELOAD = signal.SIGURG
"""The signal to a worker to reload. Its default action is to ignore it: a starting worker does not end."""

SUPERVISOR_CHECK_INTERVAL = 0.5
"""Seconds between two checks that the supervisor still runs."""

SignalHandler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None


def install_sighup_handler(reload: Callable[[], object]) -> None:
    """Handle SIGHUP: end like SIGTERM when the terminal was closed, else call ``reload``.

    A process without a terminal, or under ``nohup``, always reloads.
    """
    follows_terminal = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _has_terminal()

    def handle(*_: object) -> None:
        if follows_terminal and not _has_terminal():
            signal.raise_signal(signal.SIGTERM)
        else:
            reload()

    signal.signal(signal.SIGHUP, handle)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


@contextlib.asynccontextmanager
async def worker_signals(environment: Mapping[str, str], reload: Callable[[], object]) -> AsyncIterator[None]:
    """Handle the signals of a worker, and end it when its supervisor is gone, so that the port is released.

    Args:
        environment: names the supervisor; without it there is none.
        reload: is called in the event loop on SIGHUP and `RELOAD`, which only the main thread receives.

    """
    supervisor = int(environment.get(SUPERVISOR) or 0)
    loop = asyncio.get_running_loop()
    previous_handlers: dict[signal.Signals, SignalHandler] = {}

    def schedule_reload(*_: object) -> None:
        loop.call_soon_threadsafe(reload)

    if threading.current_thread() is threading.main_thread():
        previous_handlers = {number: signal.getsignal(number) for number in (signal.SIGHUP, RELOAD)}
        if supervisor:  # which handles the closed terminal
            signal.signal(signal.SIGHUP, schedule_reload)
        else:
            install_sighup_handler(schedule_reload)
        signal.signal(RELOAD, schedule_reload)
    watching = asyncio.create_task(_end_with(supervisor), name="supervisor-watch") if supervisor else None
    try:
        yield
    finally:
        await cancel_and_wait(watching)
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)


async def _end_with(supervisor: int) -> None:
    while os.getppid() == supervisor:
        await asyncio.sleep(SUPERVISOR_CHECK_INTERVAL)
    signal.raise_signal(signal.SIGTERM)


def reload_workers(process_ids: Callable[[], list[int | None]]) -> None:
    """Handle SIGHUP of the supervisor: its workers reload."""

    def send_reload() -> None:
        for process_id in process_ids():
            if process_id is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process_id, RELOAD)

    install_sighup_handler(send_reload)
