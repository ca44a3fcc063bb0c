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
from collections.abc import Callable, Mapping
from types import FrameType

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


class WorkerSignals:
    """Handles the signals of a worker, and ends it when its supervisor is gone, so that the port is released.

    Args:
        environment: names the supervisor; without it there is none.
        reload: is called in the event loop on SIGHUP and `RELOAD`.

    """

    def __init__(self, environment: Mapping[str, str], reload: Callable[[], object]) -> None:
        self._supervisor = int(environment.get(SUPERVISOR) or 0)
        self._reload = reload
        self._next_check: asyncio.TimerHandle | None = None
        self._previous_handlers: dict[signal.Signals, SignalHandler] = {}

    def start(self) -> None:
        """Install the handlers; call it in the running event loop, in the main thread if there are any."""
        if threading.current_thread() is threading.main_thread():
            self._previous_handlers = {number: signal.getsignal(number) for number in (signal.SIGHUP, RELOAD)}
            loop = asyncio.get_running_loop()

            def reload(*_: object) -> None:
                loop.call_soon_threadsafe(self._reload)

            if self._supervisor:  # which handles the closed terminal
                signal.signal(signal.SIGHUP, reload)
            else:
                install_sighup_handler(reload)
            signal.signal(RELOAD, reload)
        if self._supervisor:
            self._check_supervisor()

    def close(self) -> None:
        if self._next_check is not None:
            self._next_check.cancel()
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)
        self._previous_handlers = {}

    def _check_supervisor(self) -> None:
        if os.getppid() == self._supervisor:
            loop = asyncio.get_running_loop()
            self._next_check = loop.call_later(SUPERVISOR_CHECK_INTERVAL, self._check_supervisor)
        else:
            signal.raise_signal(signal.SIGTERM)


def reload_workers(process_ids: Callable[[], list[int | None]]) -> None:
    """Handle SIGHUP of the supervisor: its workers reload."""

    def send_reload() -> None:
        for process_id in process_ids():
            if process_id is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process_id, RELOAD)

    install_sighup_handler(send_reload)
