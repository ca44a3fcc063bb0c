"""Writing files so that a reader never gets half of one, and secrets in files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import mkstemp


def write_atomically(path: Path, content: str) -> None:
    """Replace a file, or create it with its folder; only its owner can read it.

    Raises:
        OSError: when the disk is full or read-only; the old file stays.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = mkstemp(prefix=f"{path.name}.", dir=path.parent)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
        new.rename(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def stored_secret(file: Path, make: Callable[[], str], min_length: int, *, write: bool = True) -> str:
    """Return the secret in a file that only its owner can read; it is made at its first use.

    Without ``write``, or where the folder cannot be written, it is another one each time.
    """
    with contextlib.suppress(OSError, UnicodeDecodeError):
        secret = file.read_text().strip()
        if len(secret) >= min_length:
            return secret
    secret = make()
    if write:
        with contextlib.suppress(OSError):
            write_atomically(file, f"{secret}\n")
    return secret
