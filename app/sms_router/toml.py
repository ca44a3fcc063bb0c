"""TOML files with their mistakes told: by key, what is wrong, and what would be right."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from sms_router.errors import ConfigurationError

RawTable = dict[str, Any]
"""A TOML table as it was written, before the models check it."""

Location = tuple[int | str, ...]
"""The way to a value: names of tables and keys, and places in lists, counted from 0."""

_FROM_NOWHERE: Mapping[Location, str] = {}


def read_toml(path: Path) -> RawTable:
    """Read a TOML file; a missing one is empty.

    Raises:
        SettingsError: when it cannot be read or is not TOML, with the line.

    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}"]) from error
    except (ValueError, RecursionError) as error:  # tomllib also fails on huge numbers and deep nesting
        raise ConfigurationError([f"{path}: not valid TOML: {error}"]) from error


def format_location(location: Location) -> str:
    """Write a location as people do: ``accounts[1].sid``, counted from 1."""
    key = ".".join(part if isinstance(part, str) else f"[{part + 1}]" for part in location)
    return key.replace(".[", "[")


def format_validation_errors(
    error: ValidationError,
    model: type[BaseModel],
    file: Path | str,
    variables: Mapping[Location, str] = _FROM_NOWHERE,
    told: Set[Location] = frozenset(),
) -> list[str]:
    """Say each mistake that pydantic found in one sentence: where, what is wrong, what would be right.

    ``variables`` names the environment variables that values came from, by location; what stands
    at one of the locations in ``told`` is left out. The values themselves are never repeated: they
    may be secrets.
    """
    sentences = []
    for each in error.errors(include_input=False, include_context=False, include_url=False):
        location = each["loc"]
        if location in told:
            continue
        key = format_location(location)
        variable = variables.get(location)
        place = f"{variable} ({key})" if variable else f"{file}: {key}"
        sentences.append(f"{place}: {_wrong(location, each['type'], each['msg'], model)}")
    return sentences


_PLAINLY = {
    "missing": "is missing; add it",
    "string_type": 'must be text in quotes, like "this"',
    "path_type": 'must be text in quotes, like "this"',
    "too_short": "must not be empty",
    "model_type": "must be a table with keys of its own",
    "tuple_type": 'must be a list in brackets, like ["this"]',
}
"""What is wrong, by pydantic's name for it, where its own sentence speaks of Python."""


def _wrong(location: Location, kind: str, text: str, model: type[BaseModel]) -> str:
    if kind == "extra_forbidden":
        return f"unknown key{_nearest(str(location[-1]), _keys_at(location[:-1], model))}"
    if kind == "tuple_type" and _keys_at(location, model):
        return f"must be a list of tables; write [[{location[-1]}]], with two brackets"
    plain = text.removeprefix("Value error, ").replace("Input should be", "must be", 1)
    return _PLAINLY.get(kind, plain)


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known ones are {', '.join(sorted(known))}"


def _keys_at(location: Location, model: type[BaseModel]) -> list[str]:
    """Return the keys that the table at a location may have; none when it is no table."""
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return []
        model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := _model_in(inner)) is not None:
            return found
    return None
