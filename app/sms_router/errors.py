"""The error for a configuration that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence


class ConfigurationError(Exception):
    """The configuration has mistakes.

    Args:
        mistakes: all of them, one sentence each, with the key and the remedy.

    """

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)
