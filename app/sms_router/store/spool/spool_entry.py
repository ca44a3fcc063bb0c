"""One script run that waits in the spool, and how it reads as a line of a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sms_router.store.connection import Argument
from sms_router.store.scripts import Script


@dataclass(frozen=True, slots=True)
class SpoolEntry:
    """One script run that Redis was not there for."""

    script: str
    keys: tuple[bytes, ...]
    arguments: tuple[bytes, ...]

    @classmethod
    def of(cls, script: Script, keys: Sequence[bytes], arguments: Sequence[Argument]) -> SpoolEntry:
        """Keep what `Store.run` was called with."""
        return cls(script.name, tuple(keys), tuple(_bytes(argument) for argument in arguments))

    @property
    def size(self) -> int:
        """Roughly how much memory it takes, in bytes."""
        return 200 + sum(map(len, self.keys)) + sum(map(len, self.arguments))

    def to_line(self) -> bytes:
        """Return the entry as one line of the file."""
        parts = [[part.decode("latin-1") for part in parts] for parts in (self.keys, self.arguments)]
        return json.dumps([self.script, *parts]).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> SpoolEntry:
        """Read a line back.

        Raises:
            ValueError: when it is torn or not an entry.

        """
        try:
            script, keys, arguments = json.loads(line)
            return cls(str(script), _parts(keys), _parts(arguments))
        except (TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a spool entry: {error}") from error


def _bytes(argument: Argument) -> bytes:
    return argument if isinstance(argument, bytes) else str(argument).encode()


def _parts(texts: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(text.encode("latin-1") for text in texts)
