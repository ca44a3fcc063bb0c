"""The folder of the metrics files of several workers, which /metrics adds up.

prometheus_client maps the files into memory. On a full disk the kernel kills a process that writes to such a
file, so every worker would end although it could still answer: the folder is in /dev/shm where possible.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from sms_router.store.file_lock import try_lock

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (a folder of our own is created in it)
"""Linux' file system in memory."""

MIN_FREE_BYTES = 16 * 1024 * 1024
"""In shared memory; a worker uses some 400 KB."""

_PREFIX = "sms-router-metrics-"
_OWNER_LOCK = "owner"


@contextlib.contextmanager
def multiprocess_metrics_dir(disk: Path, memory: Path = SHARED_MEMORY) -> Iterator[Path]:
    """Yield an empty folder in ``memory``; on ``disk`` when that is full, else in the temporary folder."""
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
    _delete_orphans(memory)
    with TemporaryDirectory(prefix=_PREFIX, dir=memory) as name:
        owner = try_lock(Path(name, _OWNER_LOCK), create=True)
        with owner or contextlib.nullcontext():
            yield Path(name)


def _has_room(folder: Path) -> bool:
    try:
        status = os.statvfs(folder)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK) and status.f_bavail * status.f_frsize >= MIN_FREE_BYTES


def _delete_orphans(memory: Path) -> None:
    """Delete the folders of routers that were killed."""
    for path in memory.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            owner = try_lock(path / _OWNER_LOCK, create=False)
            if owner is not None:
                with owner:
                    shutil.rmtree(path)
