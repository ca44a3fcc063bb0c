"""``python -m tests.end_to_end.turned_clock``: the router, with a wall clock that can be set while it runs.

It is set as NTP or an operator sets one: what tells the time jumps, what measures time goes on evenly. The
workers that the router starts import this module as well, before anything of the router's.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

CLOCK = "TURNED_CLOCK"
"""The environment's name of the file that says by how much."""

_SECONDS = struct.Struct("d")


class TurnedClock:
    """A file that says how many seconds a router's wall clock is ahead; any process may change it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.turn(0)

    @property
    def environment(self) -> dict[str, str]:
        """What a router needs to know of it."""
        return {CLOCK: str(self.path)}

    def turn(self, seconds: float) -> None:
        """Set the clock ahead of what it would be, or back; 0 sets it right."""
        self.path.touch()
        with self.path.open("r+b") as file:
            file.write(_SECONDS.pack(seconds))


def follow(path: Path) -> None:
    """Have this process tell the time by the file."""
    with path.open("rb") as file:
        shared = mmap.mmap(file.fileno(), _SECONDS.size, prot=mmap.PROT_READ)
    read, wall, wall_ns = _SECONDS.unpack_from, time.time, time.time_ns

    def turned() -> float:
        ahead: float = read(shared)[0]
        return wall() + ahead

    vars(time).update(time=turned, time_ns=lambda: wall_ns() + int(read(shared)[0] * 1e9))


if (_path := os.environ.get(CLOCK)) is not None:
    follow(Path(_path))

if __name__ == "__main__":
    from sms_router.cli import main

    main()
