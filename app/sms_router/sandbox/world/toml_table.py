"""Reading TOML tables strictly: every mistake is named by its key, and all are told at once."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from enum import Enum
from typing import TypeVar

Choice = TypeVar("Choice", bound=Enum)
Wrong = TypeVar("Wrong")
_MISSING = object()


class WorldError(ValueError):
    """The configuration cannot be used; the text lists each mistake with its key."""

    def __init__(self, source: str, mistakes: Sequence[str]) -> None:
        """Keep the mistakes of one source."""
        super().__init__("\n".join([f"{source} cannot be used:", *(f"  {mistake}" for mistake in mistakes)]))
        self.mistakes = tuple(mistakes)


class Table:
    """One TOML table. What is read from it is known; ``finish`` reports all other keys."""

    def __init__(self, values: object, name: str, mistakes: list[str]) -> None:
        """Read ``values``, call the table ``name`` in messages, and add to ``mistakes``."""
        self._values = values if isinstance(values, dict) else {}
        self._name = name
        self._mistakes = mistakes
        self._known: list[str] = []
        if not isinstance(values, dict):
            self._mistakes.append(f"{name}: expected a table")

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text; without a default the key is required."""
        value = self._take(key, default)
        return value if isinstance(value, str) else self._wrong(key, "a text", value, "")

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._take(key, default)
        return value if isinstance(value, bool) else self._wrong(key, "true or false", value, default)

    def seconds(self, key: str, default: float) -> float:
        """Return a length of time that is not negative."""
        value = self._take(key, default)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return float(value)
        return self._wrong(key, "seconds, 0 or more", value, default)

    def texts(self, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self._take(key, list(default))
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        return self._wrong(key, "a list of texts", value, ())

    def whole(self, key: str, default: int, lowest: int, highest: int) -> int:
        """Return a whole number in a range."""
        value = self._take(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
            return value
        return self._wrong(key, f"a whole number from {lowest} to {highest}", value, default)

    def choice(self, key: str, kind: type[Choice], default: Choice | None = None) -> Choice:
        """Return the member of an enumeration that has this value; without a default it is required."""
        value = self._take(key, default.value if default else None)
        members = {member.value: member for member in kind}
        if isinstance(value, str) and value in members:
            return members[value]
        stand_in = default or next(iter(members.values()))
        return self._wrong(key, "one of " + ", ".join(map(str, members)), value, stand_in)

    def has(self, key: str) -> bool:
        """Say whether the key is there."""
        return key in self._values

    def know(self, *keys: str) -> None:
        """Count keys as known without reading them."""
        self._known += keys

    def items(self, key: str) -> dict[str, object]:
        """Return the table under this key as it is, for keys that are names; empty when there is none."""
        value = self._take(key, {})
        return value if isinstance(value, dict) else self._wrong(key, "a table", value, {})

    def value(self, key: str) -> object:
        """Return whatever is under this key, None when there is nothing."""
        return self._take(key, None)

    def table(self, key: str) -> Table:
        """Return the table under this key; it is required."""
        return Table(self._take(key, None), self._path(key), self._mistakes)

    def tables(self, key: str) -> list[Table]:
        """Return the list of tables under this key, empty when there is none."""
        value = self._take(key, [])
        rows = value if isinstance(value, list) else self._wrong(key, "a list of tables", value, [])
        return [Table(row, f"{self._path(key)}[{index}]", self._mistakes) for index, row in enumerate(rows)]

    def nested(self, key: str, index: int, value: object) -> Table:
        """Return one table of a list that holds other things too."""
        return Table(value, f"{self._path(key)}[{index}]", self._mistakes)

    def refuse(self, key: str, reason: str) -> None:
        """Report that the value of a key cannot be used."""
        self._mistakes.append(f"{self._path(key)}: {reason}")

    def finish(self) -> None:
        """Report the keys that nobody asked for, with the nearest name that exists."""
        for key in self._values:
            if key not in self._known:
                near = get_close_matches(key, self._known, n=1)
                known = ", ".join(dict.fromkeys(self._known))
                advice = f"did you mean {near[0]}?" if near else f"known keys: {known}"
                self.refuse(key, f"unknown key; {advice}")

    def _take(self, key: str, default: object) -> object:
        self._known.append(key)
        value = self._values.get(key, _MISSING)
        return default if value is _MISSING else value

    def _path(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def _wrong(self, key: str, expected: str, value: object, stand_in: Wrong) -> Wrong:
        self.refuse(key, "is missing" if value is None else f"expected {expected}, got {value!r}")
        return stand_in
