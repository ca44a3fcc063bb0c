"""One core for the server, another for everything else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core is whose; None where this machine cannot pin."""

    server: int | None
    generator: int | None

    @property
    def pinned(self) -> bool:
        """True when server and load generator have a core each."""
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
    """Pin this process to one core for a while; what it starts meanwhile inherits that."""
    if sys.platform != "linux" or core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
