"""The lock files: every package with its hashes, and nothing of the registry that they were made with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

LOCK_FILES = sorted(Path(__file__).parents[1].glob("requirements*.lock"))
PINNED = re.compile(r"[a-z0-9._-]+(\[[a-z0-9,-]+\])?==\S+( ; [^\\]+?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*")


@pytest.mark.parametrize("file", LOCK_FILES, ids=lambda file: file.name)
def test_every_package_has_its_hashes(file: Path) -> None:
    packages = file.read_text("utf-8").replace("\\\n", " ").splitlines()
    assert packages
    assert [line for line in packages if not PINNED.fullmatch(line)] == []
