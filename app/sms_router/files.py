"""Writing files so that a reader never gets half of one."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import mkstemp


def write_atomically(path: Path, content: str) -> None:
    """Replace a file, or create it with its folder.

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
