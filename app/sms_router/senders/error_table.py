"""The error table: the class of each delivery error code, and how long a failure counts.

The default table is the ``carriers.toml`` beside this file; the one in the configuration folder replaces
entries of it, code by code. A code that is in neither is counted and has no other effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field

from sms_router.errors import ConfigurationError
from sms_router.toml import StrictModel, read_toml, validate
from sms_router.toml_positions import format_place

DEFAULT_TABLE = Path(__file__).with_name("carriers.toml")

MAX_THRESHOLD = 5
"""Failures that are stored for each sender and contact; no entry may require more."""

_DAY_MS = 86_400_000


class ErrorClass(StrEnum):
    """What causes a failure; the values are those of ``class`` in the file."""

    SENDER = "sender"
    """This sender does not reach this contact; another one may."""
    RECIPIENT = "recipient"
    """No sender reaches this contact."""
    OPT_OUT = "opt-out"
    """The contact has opted out: nothing more is sent to them."""
    FILTERED = "filtered"
    """Blocked for its content or its sender; another sender would be evasion."""
    TRANSIENT = "transient"
    """The same sender may work later."""
    CONFIGURATION = "configuration"
    """The account, the number or the request must be changed."""


class ErrorEntry(StrictModel):
    """One ``[[error]]``: the meaning of some error codes."""

    codes: Annotated[tuple[Annotated[int, Field(ge=10_000, le=99_999)], ...], Field(min_length=1)]
    error_class: Annotated[ErrorClass, Field(alias="class")]
    threshold: Annotated[int, Field(alias="times", ge=1, le=MAX_THRESHOLD)] = 1
    """How many failures of different messages make the sender unreachable."""
    believed_days: Annotated[float, Field(gt=0, le=400)] = 14
    """From the last failure until the sender is tried again."""
    only_abroad: bool = False
    """True when it counts only for a short code of another country than the contact's."""
    note: Annotated[str, Field(min_length=1)]

    @property
    def ttl_ms(self) -> int:
        """The believed days in milliseconds."""
        return int(self.believed_days * _DAY_MS)


class ErrorTable:
    """The entries by error code."""

    def __init__(self, entries: Mapping[int, ErrorEntry]) -> None:
        self.entries = entries
        self.max_ttl_ms = max((entry.ttl_ms for entry in entries.values()), default=_DAY_MS)

    def find(self, code: int | None) -> ErrorEntry | None:
        return self.entries.get(code) if code is not None else None


class _FileModel(StrictModel):
    """``carriers.toml``."""

    error: tuple[ErrorEntry, ...] = ()


def load_error_table(folder: Path | None = None) -> ErrorTable:
    """Read the default table, with the entries of the folder's ``carriers.toml`` in place of its own.

    Raises:
        ConfigurationError: with all mistakes.

    """
    entries = _read(DEFAULT_TABLE)
    if folder is not None:
        entries |= _read(folder / "carriers.toml")
    return ErrorTable(entries)


def _read(path: Path) -> dict[int, ErrorEntry]:
    entries: dict[int, ErrorEntry] = {}
    mistakes = []
    for number, entry in enumerate(validate(read_toml(path), _FileModel, path).error, start=1):
        for code in entry.codes:
            if code in entries:
                place = format_place(path, ("error", number - 1, "codes"))
                mistakes.append(f"{place}: error[{number}].codes: {code} is in two tables; keep one of them")
            entries[code] = entry
    if mistakes:
        raise ConfigurationError(mistakes)
    return entries
