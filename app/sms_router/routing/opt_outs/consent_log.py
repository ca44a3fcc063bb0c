"""What people have said while Redis is away, in their order, for all workers of a machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

LARGEST = 1_000_000
"""Bytes of the file, some 20,000 wishes; beyond it nobody else hears of who comes back."""

_END = b" .\n"
"""How a whole line ends: a full disk may have cut one off."""


class ConsentLog:
    """One file that all workers of the machine add to, and read from its beginning.

    Everything here blocks on the disk, and is called from one thread at a time.
    """

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is created before somebody says something."""
        self._path = path
        self._read = 0

    def add(self, words: Sequence[str]) -> None:
        """Write down what was said, as `OptOutCopy.hear` takes it.

        Raises:
            OSError: when the disk does not take it.

        """
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(file).st_size < LARGEST:
                os.write(file, b"".join(b"\n" + word.encode() + _END for word in words))
        finally:
            os.close(file)

    def read_new(self, *, all_of_it: bool = False) -> list[str]:
        """Return what was said since the last call, also by this worker, or all of it.

        Raises:
            OSError: when the file is there and cannot be read.

        """
        try:
            with self._path.open("rb") as file:
                if all_of_it or self._read > os.fstat(file.fileno()).st_size:
                    self._read = 0
                file.seek(self._read)
                lines = file.read(2 * LARGEST).splitlines(keepends=True)
        except FileNotFoundError:
            self._read = 0
            return []
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()  # it is being written
        self._read += sum(map(len, lines))
        whole = [line.removesuffix(_END) for line in lines if line.endswith(_END)]
        return [line.decode("utf-8", "replace") for line in whole]

    def remove(self) -> None:
        """Forget everything: Redis knows it, or will know it from the journals.

        Raises:
            OSError: when the file cannot be removed.

        """
        self._path.unlink(missing_ok=True)
        self._read = 0
