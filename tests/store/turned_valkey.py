"""A Valkey whose wall clock can be set while it runs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

HAS_COMPILER = shutil.which("cc") is not None

SOURCE = Path(__file__).with_name("turned_clock.c")


def preload(folder: Path) -> Mapping[str, str]:
    """Compile what stands between Valkey and its clock; return how a server is told of it.

    Without a C compiler nothing stands there, and the clock is right.
    """
    if not HAS_COMPILER:
        return {}
    made = folder / "turned_clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", made, SOURCE, "-ldl", "-lm"], check=True)
    return {"LD_PRELOAD": str(made)}
