"""Writing files so that a reader never gets half of one, and secrets in files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from stat import S_ISDIR
from tempfile import gettempdir, mkstemp


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

    Where its folder cannot be written, it is in a folder of this user below the temporary one, so that the
    commands of one machine have the same secret. Without ``write`` a new one is stored nowhere.
    """
    files = [file, *_private_file(file)]
    for place in files:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            secret = place.read_text().strip()
            if len(secret) >= min_length:
                return secret
    secret = make()
    for place in files if write else ():
        with contextlib.suppress(OSError):
            write_atomically(place, f"{secret}\n")
            break
    return secret


def _private_file(file: Path) -> Iterator[Path]:
    """Yield a file in place of another one, if its folder is this user's and closed to all others."""
    folder = Path(gettempdir()) / f"sms-router-{os.getuid()}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()  # another user may have made it, or a link
        if S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077:
            yield folder / sha256(os.fsencode(file.absolute())).hexdigest()[:32]
