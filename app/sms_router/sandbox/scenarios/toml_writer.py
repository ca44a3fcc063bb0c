"""Writing the TOML that a scenario's router reads: the standard library reads it only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time


def toml_text(document: Mapping[str, object]) -> str:
    """Return a document as TOML, each of its keys on one line."""
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in document.items())


def _value(value: object) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, int | float):
        return repr(value)
    raise TypeError(f"TOML has no {type(value).__name__}")


def _key(key: str) -> str:
    return _text(key)


def _text(text: str) -> str:
    """Quote a text; JSON's escapes are TOML's too, except that TOML wants DEL escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
