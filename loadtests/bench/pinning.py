"""CPU pinning: one core for the server, another for everything else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    """The cores of the server and of the load generator; None if this machine cannot pin."""

    server: int | None
    generator: int | None

    @property
    def pinned(self) -> bool:
        """Whether the server and the load generator have a core each."""
        return self.server is not None


def choose_cores() -> Cores:
    """Return the last core for the server and the first one for the load generator and the store."""
    if sys.platform == "linux":
        available = sorted(os.sched_getaffinity(0))
        if len(available) > 1:
            return Cores(server=available[-1], generator=available[0])
    return Cores(server=None, generator=None)


@contextmanager
def running_on(core: int | None) -> Iterator[None]:
    """Pin this process, and the processes that it starts, to one core."""
    if sys.platform != "linux" or core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
