"""Where keys and values stand in a TOML file: line and column, for messages about mistakes.

tomllib gives values without their places, and tomlkit has no places either. The text is one that tomllib has
parsed, so this scanner only has to find where things begin. It runs only when there is a mistake.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path

Location = tuple[int | str, ...]
"""The path to a value: names of tables and keys, and indexes in lists, counted from 0."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACES = re.compile(r"[ \t]*")
_KEY = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|[A-Za-z0-9_-]+')
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")|' + r"'''.*?'{3,5}(?!')|" + r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]*")


@dataclass(slots=True)
class TomlPositions:
    """The positions in one text."""

    text: str
    _position: int = 0
    _keys: dict[Location, int] = field(default_factory=dict)
    """Where each key, or the header of a table, begins."""
    _values: dict[Location, int] = field(default_factory=dict)
    _table_counts: dict[Location, int] = field(default_factory=dict)
    """How many tables each ``[[list]]`` has so far."""

    @classmethod
    def of(cls, path: Path) -> TomlPositions | None:
        """Find the positions in a file; None where it cannot be read or is not TOML."""
        try:
            text = path.read_text(encoding="utf-8-sig")
            tomllib.loads(text)
        except (OSError, ValueError, RecursionError):
            return None
        return cls(text)

    def find(self, location: Location, *, is_key: bool = False) -> tuple[int, int]:
        """Return line and column, counted from 1, of a value or key, or of the table that lacks it.

        ``is_key`` selects the place of the key itself, which may be the mistake.
        """
        if location not in self._values and location not in self._keys:
            location = self._without_list(location)
        order = (self._keys, self._values) if is_key else (self._values, self._keys)
        for length in range(len(location), 0, -1):
            for offsets in order:
                if (offset := offsets.get(location[:length])) is not None:
                    return self._line_and_column(offset)
            order = (self._keys, self._values)
        return 1, 1

    def _without_list(self, location: Location) -> Location:
        """Return the location where a single value stands in place of a list, as ``hours = { ... }``."""
        for place, part in enumerate(location):
            shorter = (*location[:place], *location[place + 1 :])
            if part == 0 and isinstance(part, int) and (shorter in self._values or shorter in self._keys):
                return shorter
        return location

    def _line_and_column(self, offset: int) -> tuple[int, int]:
        starts = [0, *(match.end() for match in re.finditer("\n", self.text))]
        line = bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1

    def __post_init__(self) -> None:
        table: Location = ()
        while self._skip(_BLANK) < len(self.text):
            begin = self._position
            if not self.text.startswith("[", begin):
                self._scan_pair(table)
                continue
            is_list = self.text.startswith("[[", begin)
            self._position += 2 if is_list else 1
            table = self._open_table(self._scan_key()[0], is_list=is_list)
            self._position += 2 if is_list else 1
            self._keys.setdefault(table, begin)

    def _open_table(self, names: list[str], *, is_list: bool) -> Location:
        """Return the location of a header's table; each list on the way is continued at its last table."""
        table: Location = ()
        for place, name in enumerate(names, 1):
            table = (*table, name)
            if is_list and place == len(names):
                self._table_counts[table] = self._table_counts.get(table, 0) + 1
            if count := self._table_counts.get(table):
                table = (*table, count - 1)
        return table

    def _scan_pair(self, table: Location) -> None:
        names, begins = self._scan_key()
        for length, begin in enumerate(begins, 1):
            self._keys.setdefault((*table, *names[:length]), begin)
        self._position += 1  # the equals sign
        self._skip(_SPACES)
        self._scan_value((*table, *names))

    def _scan_key(self) -> tuple[list[str], list[int]]:
        """Scan a dotted key up to what follows it; return its names and where each begins."""
        names, begins = [], []
        while True:
            self._skip(_SPACES)
            begins.append(self._position)
            begin = self._position
            raw = self.text[begin : self._skip(_KEY)]
            names.append(str(tomllib.loads(f"x = {raw}")["x"]) if raw[0] in "\"'" else raw)
            self._skip(_SPACES)
            if not self.text.startswith(".", self._position):
                return names, begins
            self._position += 1

    def _scan_value(self, location: Location) -> None:
        self._values[location] = self._position
        character = self.text[self._position]
        if character in "\"'":
            self._skip(_STRING)
        elif character == "[":
            self._scan_items(location, "]")
        elif character == "{":
            self._scan_items(location, "}")
        else:
            self._skip(_SCALAR)

    def _scan_items(self, location: Location, end: str) -> None:
        """Scan the values of a list or the pairs of an inline table."""
        self._position += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self.text.startswith(",", self._position):
                self._position += 1
            elif self.text.startswith(end, self._position):
                self._position += 1
                return
            elif end == "}":
                self._scan_pair(location)
            else:
                self._scan_value((*location, index))
                index += 1

    def _skip(self, pattern: re.Pattern[str]) -> int:
        """Go to the end of what matches here, and return that position."""
        if match := pattern.match(self.text, self._position):
            self._position = match.end()
        return self._position


def format_place(path: Path, location: Location) -> str:
    """Return the place of a value as editors open it: ``config/keywords.toml:12:9``."""
    positions = TomlPositions.of(path)
    return ":".join(map(str, (path, *positions.find(location)))) if positions is not None else str(path)
