"""Places of mistakes, for tests of the sentence alone; `test_toml_positions` tests the places."""

from __future__ import annotations

import re

_PLACE = re.compile(r"(\.toml):[0-9]+:[0-9]+")


def without_place(mistake: str) -> str:
    """Return a mistake without line and column."""
    return _PLACE.sub(r"\1", mistake)
