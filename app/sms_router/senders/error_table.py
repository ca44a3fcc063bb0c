"""The error table: what a delivery's error code says, and how long it is believed (design 7, facts 7.1).

The table is data. The default one lies beside this file; ``config/carriers.toml`` replaces entries of
it, code by code. A code that is in neither is counted and never acted on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sms_router.errors import ConfigurationError
from sms_router.toml import format_validation_errors, read_toml

DEFAULTS = Path(__file__).with_name("carriers.toml")
"""The table that comes along."""

MOST_TIMES = 5
"""Failures that are kept of each sender; no entry may ask for more."""

_DAY = 86_400_000


class ErrorClass(StrEnum):
    """Whose fault a failure is; the values are those of ``class`` in the file."""

    SENDER = "sender"
    """This sender does not reach this person; another one may."""
    RECIPIENT = "recipient"
    """No sender reaches this person."""
    OPT_OUT = "opt-out"
    """The person has opted out: nothing more is sent to them."""
    FILTERED = "filtered"
    """Blocked for what it says or who says it; another sender would be evasion."""
    TRANSIENT = "transient"
    """It may work later."""
    CONFIGURATION = "configuration"
    """Ours or the account's mistake."""


@dataclass(frozen=True, slots=True)
class ErrorEntry:
    """What one error code says."""

    code: int
    error_class: ErrorClass
    threshold: int
    """How many failures, each of another message, until the code is believed."""
    ttl_ms: int
    """Milliseconds that it is believed, from the last of them."""
    only_abroad: bool
    """True when it counts only where the short code is of another country than the person."""
    note: str


class ErrorTable:
    """All codes that mean something."""

    def __init__(self, entries: Mapping[int, ErrorEntry]) -> None:
        """Take the entries by code."""
        self.entries = entries
        self.longest = max((entry.ttl_ms for entry in entries.values()), default=_DAY)
        """Milliseconds that anything is believed at the most."""

    def find(self, code: int | None) -> ErrorEntry | None:
        """Return what a code says, None for one that nobody has written down."""
        return self.entries.get(code) if code is not None else None


class _Error(BaseModel):
    """One ``[[error]]``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    codes: Annotated[tuple[Annotated[int, Field(ge=10_000, le=99_999)], ...], Field(min_length=1)]
    fault: Annotated[ErrorClass, Field(alias="class")]
    times: Annotated[int, Field(ge=1, le=MOST_TIMES)] = 1
    believed_days: Annotated[float, Field(gt=0, le=400)] = 14
    only_abroad: bool = False
    note: Annotated[str, Field(min_length=1)]


class _File(BaseModel):
    """``carriers.toml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    error: tuple[_Error, ...] = ()


def load_error_table(folder: Path | None = None) -> ErrorTable:
    """Read the table that comes along and, over it, the folder's ``carriers.toml``, if there is one.

    Raises:
        SettingsError: with every mistake found.

    """
    entries = _read(DEFAULTS)
    if folder is not None:
        entries |= _read(folder / "carriers.toml")
    return ErrorTable(entries)


def _read(path: Path) -> dict[int, ErrorEntry]:
    try:
        tables = _File.model_validate(read_toml(path)).error
    except ValidationError as error:
        raise ConfigurationError(format_validation_errors(error, _File, path)) from error
    entries: dict[int, ErrorEntry] = {}
    mistakes = []
    for number, table in enumerate(tables, start=1):
        for code in table.codes:
            if code in entries:
                mistakes.append(
                    f"{path}: error[{number}].codes: {code} stands in two tables; keep one of them"
                )
            entries[code] = _entry(code, table)
    if mistakes:
        raise ConfigurationError(mistakes)
    return entries


def _entry(code: int, table: _Error) -> ErrorEntry:
    return ErrorEntry(
        code=code,
        error_class=table.fault,
        threshold=table.times,
        ttl_ms=int(table.believed_days * _DAY),
        only_abroad=table.only_abroad,
        note=table.note,
    )
