"""TOML files with their mistakes told: by key, what is wrong, and what would be right."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

RawTable = dict[str, Any]
"""A TOML table as it was written, before the models check it."""


class SettingsError(Exception):
    """The configuration has mistakes; each is one sentence that names the key and the remedy."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        """Keep all the mistakes, so that they can be mended in one go."""
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


def read_toml(path: Path) -> RawTable:
    """Read a TOML file; a missing one is empty.

    Raises:
        SettingsError: when it is not TOML, with the line.

    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: not valid TOML: {error}"]) from error


def describe_mistakes(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Say each mistake that pydantic found in one sentence: the key, what is wrong, what would be right."""
    return [_sentence(each["loc"], each["type"], each["msg"], model) for each in error.errors()]


def _sentence(location: tuple[int | str, ...], kind: str, text: str, model: type[BaseModel]) -> str:
    key = ".".join(str(part) if isinstance(part, str) else f"[{part + 1}]" for part in location)
    key = key.replace(".[", "[")
    if kind == "extra_forbidden":
        return f"{key}: unknown key{_nearest(str(location[-1]), _keys_at(location[:-1], model))}"
    if kind == "missing":
        return f"{key}: is missing; add it"
    text = text.removeprefix("Value error, ")
    return f"{key}: {text}" if key else text


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known ones are {', '.join(sorted(known))}"


def _keys_at(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return []
        model = inner
    return [field.alias or name for name, field in model.model_fields.items() if name != "folder"]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := _model_in(inner)) is not None:
            return found
    return None
