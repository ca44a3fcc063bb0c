"""A worker's tie to the process that started it: it stops when that one is gone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping

SUPERVISOR = "SMS_ROUTER_SUPERVISOR"
"""The variable in which ``serve`` tells its workers the id of the process that watches over them."""

PERIOD = 0.5
"""Seconds between two looks."""


def end_on_hang_up() -> None:
    """Let SIGHUP, a closed terminal, end this process as SIGTERM does; ``nohup`` still works."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))


class Supervised:
    """Ends this worker gracefully when its supervisor was killed, so that no orphan keeps the port."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read from the environment who the supervisor is; without one there is nothing to watch."""
        self._supervisor = int(environment.get(SUPERVISOR) or 0)
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to watch; call it in the main thread, with the loop running."""
        if self._supervisor:
            end_on_hang_up()
            self._look()

    def close(self) -> None:
        """Stop watching."""
        if self._next is not None:
            self._next.cancel()

    def _look(self) -> None:
        if os.getppid() == self._supervisor:
            self._next = asyncio.get_running_loop().call_later(PERIOD, self._look)
        else:
            signal.raise_signal(signal.SIGTERM)
