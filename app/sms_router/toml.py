"""TOML files and JSON bodies as pydantic models; each mistake is one sentence with its key and remedy."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from sms_router.errors import ConfigurationError
from sms_router.toml_positions import Location, TomlPositions

RawTable = dict[str, Any]
"""A TOML table as it was written, before the models check it."""

Model = TypeVar("Model", bound=BaseModel)

_NO_VARIABLES: Mapping[Location, str] = {}


class StrictModel(BaseModel):
    """A table whose values cannot be changed and whose unknown keys are mistakes."""

    # deferred: nested models are built once, with the one that contains them, and only when it is used
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def read_toml(path: Path, *, required: bool = False) -> RawTable:
    """Read a TOML file; a missing one is empty unless it is ``required``.

    Raises:
        ConfigurationError: when it cannot be read or is not TOML, with the line.

    """
    content = ""
    try:
        content = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(content)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not required:
            return {}
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}"]) from error
    except (ValueError, RecursionError) as error:  # tomllib also fails on huge numbers and deep nesting
        raise ConfigurationError([_describe_syntax_error(path, str(error), content)]) from error


_AT_THE_END = " (at end of document)"
_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")


def _describe_syntax_error(path: Path, text: str, content: str) -> str:
    """Put tomllib's line and column behind the file, as in all other mistakes."""
    if text.endswith(_AT_THE_END):
        lines = content.rstrip().split("\n")
        reason = text.removesuffix(_AT_THE_END)
        return f"{path}:{len(lines)}:{len(lines[-1]) + 1}: not valid TOML: {reason}, and the file ends here"
    place = _PLACE.search(text)
    if place is None:
        return f"{path}: not valid TOML: {text}"
    return f"{path}:{place[1]}:{place[2]}: not valid TOML: {text[: place.start()]}"


def validate(content: object, model: type[Model], source: Path | str = "", context: object = None) -> Model:
    """Return the content of ``source`` as a model; the model's validators get ``context``.

    Raises:
        ConfigurationError: with every mistake.

    """
    try:
        return model.model_validate(content, context=context)
    except ValidationError as error:
        raise ConfigurationError(format_validation_errors(error, model, source)) from error


def format_location(location: Location) -> str:
    """Write a location as people do: ``accounts[1].sid``, counted from 1."""
    # pydantic adds "[key]" to the location of a key that is itself the mistake
    parts = [part if isinstance(part, str) else f"[{part + 1}]" for part in location if part != "[key]"]
    return ".".join(parts).replace(".[", "[")


def format_validation_errors(
    error: ValidationError,
    model: type[BaseModel],
    source: Path | str,
    variables: Mapping[Location, str] = _NO_VARIABLES,
    reported: Set[Location] = frozenset(),
    label: str = "",
) -> list[str]:
    """Describe each mistake that pydantic found in one sentence: where, what is wrong, what would be right.

    ``source`` is the file, or empty for none; line and column are read from it. ``label`` stands for it in
    the sentences. ``variables`` names the environment variables that values came from, by location; mistakes
    at the locations in ``reported`` are left out. The values are never repeated: they may be secrets.
    """
    sentences = []
    positions = TomlPositions.of(source) if isinstance(source, Path) else None
    mistakes = error.errors(include_input=False, include_context=False, include_url=False)
    for mistake in mistakes:
        location = mistake["loc"]
        if location in reported or (
            mistake["type"] == "too_short" and _has_invalid_items(location, mistakes)
        ):
            continue
        key = format_location(location)
        variable = variables.get(location)
        file = label or str(source)
        is_key = mistake["type"] == "extra_forbidden"
        if positions is not None:
            line, column = positions.find(location, is_key=is_key)
            file = f"{file}:{line}:{column}"
        place = f"{variable} ({key})" if variable else ": ".join(part for part in (file, key) if part)
        sentence = _sentence(location, mistake["type"], mistake["msg"], model, is_file=bool(str(source)))
        sentences.append(f"{place}: {sentence}" if place else sentence)
    return sentences


def _has_invalid_items(location: Location, mistakes: Sequence[ErrorDetails]) -> bool:
    """Such a list is not too short: pydantic counts only the valid items."""
    return any(
        len(mistake["loc"]) > len(location) and mistake["loc"][: len(location)] == location
        for mistake in mistakes
    )


_LIST = 'must be a list in brackets, like ["this"]'
_TABLE = "must be a table with keys of its own"
_SENTENCES = {
    "missing": "is missing; add it",
    "string_type": 'must be text in quotes, like "this"',
    "path_type": 'must be text in quotes, like "this"',
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "too_short": "must not be empty",
    "model_type": _TABLE,
    "dict_type": _TABLE,
    "mapping_type": _TABLE,
    "tuple_type": _LIST,
    "frozen_set_type": _LIST,
}
"""What is wrong, by pydantic's name for it, where pydantic's own sentence is about Python."""


def _sentence(location: Location, kind: str, text: str, model: type[BaseModel], *, is_file: bool) -> str:
    if kind == "extra_forbidden":
        return f"unknown key{_suggestion(str(location[-1]), _keys_at(location[:-1], model))}"
    if kind == "tuple_type" and _keys_at(location, model):
        return f"must be a list of tables; write [[{location[-1]}]], with two brackets"
    if kind == "missing" and is_file:
        return f"is missing; add {_line_to_paste(location, model)}"
    if kind in _NO_TABLE and isinstance(location[-1], str) and (pairs := _required_pairs(location, model)):
        return f"must be a table; write {location[-1]} = {{ {pairs} }}"
    plain = re.sub(r"^\w+ should (be|have)\b", r"must \1", text.removeprefix("Value error, "))
    return _SENTENCES.get(kind, plain.replace(" after validation", ""))


def _suggestion(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known ones are {', '.join(sorted(known))}"


_NO_TABLE = {"model_type", "dict_type", "mapping_type", "model_attributes_type"}


def _line_to_paste(location: Location, model: type[BaseModel]) -> str:
    """Return the line that a file lacks: the header of a table, or a key with a placeholder."""
    annotation = _annotation_at(location, model)
    if _model_in(annotation) is not None and len(location) == 1:
        is_list = get_origin(annotation) is tuple
        return f"[[{location[0]}]]" if is_list else f"[{location[0]}]"
    return f"{location[-1]} = {_placeholder(annotation)}"


def _required_pairs(location: Location, model: type[BaseModel]) -> str:
    """Return the required keys of the table at a location, each with a placeholder for its value."""
    fields = _fields_in(_annotation_at(location, model)).items()
    return ", ".join(
        f"{key} = {_placeholder(field.annotation)}" for key, field in fields if field.is_required()
    )


def _annotation_at(location: Location, model: type[BaseModel]) -> Any:
    """Return the type of the value at a location; None where it is not known."""
    annotation: Any = model
    for part in location:
        if isinstance(part, str):
            field = _fields_in(annotation).get(part)
            annotation = field.annotation if field is not None else None
    return annotation


def _placeholder(annotation: Any) -> str:
    """Return what a value of a type looks like in TOML."""
    for kind, text in ((bool, "true"), (int, "1"), (float, "1.0")):
        if annotation is kind:
            return text
    origin = get_origin(annotation)
    if origin in (tuple, list, frozenset):
        return f"[{_placeholder(next(iter(get_args(annotation)), None))}]"
    if origin is Annotated:
        return _placeholder(get_args(annotation)[0])
    return "{ ... }" if _model_in(annotation) is not None else '"..."'


def _keys_at(location: Location, model: type[BaseModel]) -> list[str]:
    """Return the keys that the table at a location may have; none when it is no table."""
    return list(_fields_in(_annotation_at(location, model)))


def _fields_in(annotation: Any) -> dict[str, FieldInfo]:
    """Return the fields of a table of this type by their keys; none when it is no table."""
    model = _model_in(annotation)
    return {field.alias or name: field for name, field in model.model_fields.items()} if model else {}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (model := _model_in(argument)) is not None:
            return model
    return None
