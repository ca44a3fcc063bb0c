"""A library that lets a test set the wall clock of a running Valkey."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

HAS_COMPILER = shutil.which("cc") is not None

SOURCE = Path(__file__).with_name("valkey_clock.c")


def preload(folder: Path) -> Mapping[str, str]:
    """Compile the library; return the environment that makes a server load it.

    Without a C compiler it is empty, and the server has the real clock.
    """
    if not HAS_COMPILER:
        return {}
    library = folder / "valkey_clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl", "-lm"], check=True)
    return {"LD_PRELOAD": str(library)}
