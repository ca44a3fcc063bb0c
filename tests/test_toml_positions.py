"""Where keys and values stand in a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.toml_positions import Location, TomlPositions, format_place

TEXT = '''\
# a comment with [brackets] and = signs
title = "x"

[router]
  port = 8000 # the port
"quoted key".inner = 1

[[keyword]]
words = ["A", 'B', """C
"D\\"""", # comment, with ]
  "E",
]
forward = { url = "https://x", headers = { a = 1 } }

[[keyword]]
reply = \'\'\'
[keyword]
words = 1
\'\'\'
at = 2026-01-01 10:00:00
[[keyword.hours]]
from = "09:00"

[default.services.MG1]
reply = "y"
'''


@pytest.mark.parametrize(
    ("location", "is_key", "place"),
    [
        (("title",), False, (2, 9)),
        (("title",), True, (2, 1)),
        (("router",), False, (4, 1)),
        (("router", "port"), False, (5, 10)),
        (("router", "port"), True, (5, 3)),
        (("router", "quoted key", "inner"), False, (6, 22)),
        (("router", "missing"), False, (4, 1)),
        (("keyword", 0), False, (8, 1)),
        (("keyword", 0, "words", 0), False, (9, 10)),
        (("keyword", 0, "words", 2), False, (9, 20)),
        (("keyword", 0, "words", 3), False, (11, 3)),
        (("keyword", 0, "forward", "url"), False, (13, 19)),
        (("keyword", 0, "forward", "headers", "a"), True, (13, 44)),
        (("keyword", 1, "reply"), False, (16, 9)),
        (("keyword", 1, "words"), False, (15, 1)),
        (("keyword", 1, "at"), False, (20, 6)),
        (("keyword", 1, "hours", 0, "from"), False, (22, 8)),
        (("default", "services", "MG1", "reply"), False, (25, 9)),
        (("keyword", 0, "forward", 0, "url"), False, (13, 19)),
        (("other",), False, (1, 1)),
    ],
)
def test_a_position_is_found(tmp_path: Path, location: Location, is_key: bool, place: object) -> None:
    file = tmp_path / "some.toml"
    file.write_text(TEXT)
    positions = TomlPositions.of(file)
    assert positions is not None
    assert positions.find(location, is_key=is_key) == place


def test_a_place_is_written_as_editors_open_it(tmp_path: Path) -> None:
    file = tmp_path / "some.toml"
    assert format_place(file, ("title",)) == str(file)
    file.write_text("\ufeff" + TEXT, encoding="utf-8")
    assert format_place(file, ("title",)) == f"{file}:2:9"
    file.write_text("[broken")
    assert format_place(file, ("title",)) == str(file)


KEYS = st.text("ab.-\"' =[]#", min_size=1, max_size=4)
SCALARS = st.integers() | st.booleans() | st.text("a\"'\\\n,]}#=", max_size=6) | st.just(1.5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)


def write(value: object) -> str:
    """Write a value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{text}"'
    if isinstance(value, list):
        return "[ " + ", ".join(map(write, value)) + " ]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{write(key)} = {write(inner)}" for key, inner in value.items()) + " }"
    return str(value)


def leaves(value: object, location: Location = ()) -> list[tuple[Location, object]]:
    items = (
        list(value.items())
        if isinstance(value, dict)
        else list(enumerate(value))
        if isinstance(value, list)
        else []
    )
    return [(location, value), *(leaf for key, inner in items for leaf in leaves(inner, (*location, key)))]


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_every_value_of_any_document_stands_where_it_is_found(content: dict[str, object]) -> None:
    text = "".join(f"{write(key)} = {write(value)}\n" for key, value in content.items())
    assert tomllib.loads(text) == content
    positions = TomlPositions(text)
    lines = text.split("\n")
    for location, value in leaves(content)[1:]:
        place = positions.find(location)
        assert place is not None
        line, column = place
        assert lines[line - 1][column - 1 :].startswith(write(value))
