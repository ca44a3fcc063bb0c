"""The signals of a worker, and its tie to the process that started it: it stops when that one is gone.

SIGHUP means two things: "read the configuration again" from an operator, and "your terminal was
closed" from the kernel. The terminal tells which.
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
"""The variable in which ``serve`` tells its workers the id of the process that watches over them."""

RELOAD = signal.SIGURG
"""What ``serve`` sends its workers to reload: a signal that does nothing to one that is starting still."""

PERIOD = 0.5
"""Seconds between two looks."""

Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None


def install_sighup_handler(reload: Callable[[], object]) -> None:
    """Let SIGHUP end this process as SIGTERM does when its terminal was closed, and reload otherwise.

    Without a terminal, and under ``nohup``, it always reloads.
    """
    bound = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _has_terminal()

    def hang_up(*_: object) -> None:
        if bound and not _has_terminal():
            signal.raise_signal(signal.SIGTERM)
        else:
            reload()

    signal.signal(signal.SIGHUP, hang_up)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


class WorkerSignals:
    """Listens to the signals of this worker.

    It ends gracefully when its supervisor was killed, so that no orphan keeps the port.
    """

    def __init__(self, environment: Mapping[str, str], reload: Callable[[], object]) -> None:
        """Read from the environment who the supervisor is; without one there is nothing to watch."""
        self._supervisor = int(environment.get(SUPERVISOR) or 0)
        self._reload = reload
        self._next: asyncio.TimerHandle | None = None
        self._before: dict[signal.Signals, Handler] = {}

    def start(self) -> None:
        """Begin to watch, with the loop running; signals are heard in the main thread alone."""
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.getsignal(each) for each in (signal.SIGHUP, RELOAD)}
            loop = asyncio.get_running_loop()

            def reload(*_: object) -> None:
                loop.call_soon_threadsafe(self._reload)

            if self._supervisor:  # whose business the terminal is
                signal.signal(signal.SIGHUP, reload)
            else:
                install_sighup_handler(reload)
            signal.signal(RELOAD, reload)
        if self._supervisor:
            self._look()

    def close(self) -> None:
        """Stop watching."""
        if self._next is not None:
            self._next.cancel()
        for each, handler in self._before.items():
            signal.signal(each, handler)
        self._before = {}

    def _look(self) -> None:
        if os.getppid() == self._supervisor:
            self._next = asyncio.get_running_loop().call_later(PERIOD, self._look)
        else:
            signal.raise_signal(signal.SIGTERM)


def reload_workers(process_ids: Callable[[], list[int | None]]) -> None:
    """Let SIGHUP to this process make those workers read the configuration again."""

    def tell() -> None:
        for process_id in process_ids():
            if process_id is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process_id, RELOAD)

    install_sighup_handler(tell)
