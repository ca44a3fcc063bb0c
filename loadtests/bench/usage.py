"""The CPU and memory of a process and its children."""

from __future__ import annotations

import psutil


class Usage:
    """CPU and memory of a process tree, with children that have ended."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._root = psutil.Process(pid)

    def cpu_seconds(self) -> float:
        """Return user and system time so far, in steps of the kernel's tick (usually 10 ms)."""
        reaped = self._root.cpu_times()
        return reaped.children_user + reaped.children_system + sum(map(_own_cpu, self._tree()))

    def resident_bytes(self) -> int:
        """Return the resident memory; shared pages count for each process."""
        return sum(process.memory_info().rss for process in self._tree())

    def worker_bytes(self) -> int:
        """Return the resident memory of the largest process: the worker."""
        return max(process.memory_info().rss for process in self._tree())

    def _tree(self) -> list[psutil.Process]:
        return [self._root, *self._root.children(recursive=True)]


def _own_cpu(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system
