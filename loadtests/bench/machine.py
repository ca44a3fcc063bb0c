"""Describes the machine of a measurement, without its name."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench.pinning import Cores

CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """What influences the figures."""

    cpu: str
    cores: int
    python: str
    system: str
    pinned: bool

    def __str__(self) -> str:
        """Return one line."""
        pinning = "server and load generator pinned to a core each" if self.pinned else "nothing pinned"
        return f"{self.cpu}, {self.cores} cores, Python {self.python}, {self.system}; {pinning}"


def this_machine(cores: Cores) -> Machine:
    """Return the description of this machine."""
    return Machine(
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}",
        pinned=cores.pinned,
    )


def _cpu_model() -> str:
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
