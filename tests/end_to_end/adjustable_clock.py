"""``python -m tests.end_to_end.adjustable_clock``: a router whose wall clock can be set while it runs.

Only the wall clock changes, as when NTP or an operator sets it; the monotonic clock does not. The workers of
the router import this module, too, before any module of the router.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

CLOCK = "ADJUSTABLE_CLOCK"
"""The environment variable with the path of the file that contains the offset."""

_SECONDS = struct.Struct("d")


class AdjustableClock:
    """A file with the offset of a router's wall clock in seconds; any process may change it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set_offset(0)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a router that follows it."""
        return {CLOCK: str(self.path)}

    def set_offset(self, seconds: float) -> None:
        """Set the offset of the wall clock; a negative one sets it back."""
        self.path.touch()
        with self.path.open("r+b") as file:
            file.write(_SECONDS.pack(seconds))


def follow(path: Path) -> None:
    """Make ``time.time`` of this process follow the file."""
    with path.open("rb") as file:
        shared = mmap.mmap(file.fileno(), _SECONDS.size, prot=mmap.PROT_READ)
    read, wall, wall_ns = _SECONDS.unpack_from, time.time, time.time_ns

    def adjusted() -> float:
        offset: float = read(shared)[0]
        return wall() + offset

    vars(time).update(time=adjusted, time_ns=lambda: wall_ns() + int(read(shared)[0] * 1e9))


if (_path := os.environ.get(CLOCK)) is not None:
    follow(Path(_path))

if __name__ == "__main__":
    from sms_router.cli import main

    main()
