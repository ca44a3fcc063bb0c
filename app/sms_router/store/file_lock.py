"""Files that belong to one living process.

The kernel's lock says whose a file is: it ends with the process, however it dies, and neither a
process id that is used again nor a container that counts its own can be taken for the owner.
"""

from __future__ import annotations

import fcntl
import os
from io import FileIO
from pathlib import Path


def try_lock(path: Path, *, create: bool) -> FileIO | None:
    """Open a file for reading and appending and make it ours until it is closed.

    Returns:
        None when somebody else holds it, or when it is not there and ``create`` is False.

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
        if not _locked(file):
            file.close()
            return None
        if _is_at(path, file):
            return file
        file.close()  # its owner removed it between our opening and our locking


def _locked(file: FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        file.close()
        raise
    return True


def _is_at(path: Path, file: FileIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
