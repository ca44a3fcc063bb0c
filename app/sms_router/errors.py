"""The one error for a configuration that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence


class ConfigurationError(Exception):
    """The configuration has mistakes; each is one sentence that names the key and the remedy."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        """Keep all the mistakes, so that they can be mended in one go."""
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)
