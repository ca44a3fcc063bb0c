"""Where several workers keep their figures, which /metrics adds up.

They are files that are written through memory. On a full disk the kernel kills a process that does so, and
with it every worker of a router that could go on answering; so they lie where there is no disk, if possible.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from sms_router.store.file_lock import try_lock

MEMORY = Path("/dev/shm")  # noqa: S108 (a folder of our own is made in it)
"""Where Linux has files without a disk."""

ROOM = 16 * 1024 * 1024
"""Bytes that have to be free there; a worker takes some 400 KB."""

_PREFIX = "sms-router-metrics-"
_OWNER = "owner"


@contextlib.contextmanager
def multiprocess_metrics_dir(disk: Path, memory: Path = MEMORY) -> Iterator[Path]:
    """Give an empty folder in memory, on ``disk`` where that has no room, else among the temporary files."""
    if not _has_room(memory):
        shutil.rmtree(disk, ignore_errors=True)
        try:
            disk.mkdir(parents=True)
        except OSError:
            with TemporaryDirectory(prefix=_PREFIX) as name:
                yield Path(name)
        else:
            yield disk
        return
    _sweep(memory)
    with TemporaryDirectory(prefix=_PREFIX, dir=memory) as name:
        owner = try_lock(Path(name, _OWNER), create=True)
        with owner or contextlib.nullcontext():
            yield Path(name)


def _has_room(folder: Path) -> bool:
    try:
        free = os.statvfs(folder)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK) and free.f_bavail * free.f_frsize >= ROOM


def _sweep(memory: Path) -> None:
    """Remove what killed routers have left behind."""
    for path in memory.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            owner = try_lock(path / _OWNER, create=False)
            if owner is not None:
                with owner:
                    shutil.rmtree(path)
