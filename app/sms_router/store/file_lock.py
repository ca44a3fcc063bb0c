"""Files that belong to one living process, by a lock of the kernel.

The kernel releases the lock when the process ends, for whatever reason; process ids, which are used again and
differ between containers, play no part.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from io import FileIO
from pathlib import Path


def try_lock(path: Path, *, create: bool) -> FileIO | None:
    """Open a file for reading and appending, and lock it until it is closed.

    Returns:
        None when another process has locked it, or when it is missing and ``create`` is False.

    Raises:
        OSError: when it cannot be opened.

    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    while True:
        try:
            file = FileIO(os.open(path, flags, 0o600), "r+")
        except FileNotFoundError:
            if create:
                raise  # its folder is missing
            return None
        with contextlib.ExitStack() as unless_locked:
            unless_locked.callback(file.close)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                    unless_locked.pop_all()
                    return file
            except BlockingIOError:
                return None
            except FileNotFoundError:
                pass  # its owner removed it after it was opened here, and before it was locked
