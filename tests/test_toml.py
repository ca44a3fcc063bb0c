"""TOML files, and what is said of their mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from sms_router.errors import ConfigurationError
from sms_router.toml import Location, format_location, format_validation_errors, read_toml

FILE = Path("config/some.toml")


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    weight: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inner: Inner | None = None
    several: tuple[Inner, ...] = ()
    words: tuple[str, ...] = ()
    place: Path = Path()


def mistakes(content: object, variables: dict[Location, str] | None = None) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(content)
    return format_validation_errors(caught.value, Outer, FILE, variables or {})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"innr": {}}, "innr: unknown key; did you mean inner?"),
        ({"zzz": 1}, "zzz: unknown key; known ones are inner, place, several, words"),
        ({"inner": {"name": "a", "wieght": 1}}, "inner.wieght: unknown key; did you mean weight?"),
        ({"several": [{"name": "a"}, {}]}, "several[2].name: is missing; add it"),
        (
            {"several": {"name": "a"}},
            "several: must be a list of tables; write [[several]], with two brackets",
        ),
        ({"several": ["a"]}, "several[1]: must be a table with keys of its own"),
        ({"inner": "a"}, "inner: must be a table with keys of its own"),
        ({"inner": {"name": 5}}, 'inner.name: must be text in quotes, like "this"'),
        ({"place": 5}, 'place: must be text in quotes, like "this"'),
        ({"words": "HOURS"}, 'words: must be a list in brackets, like ["this"]'),
        ({"words": [1]}, 'words[1]: must be text in quotes, like "this"'),
        (
            {"inner": {"name": "a", "weight": "heavy"}},
            "inner.weight: must be a valid integer, unable to parse string as an integer",
        ),
    ],
)
def test_a_mistake_is_told_by_its_key_with_what_would_be_right(content: object, sentence: str) -> None:
    assert mistakes(content) == [f"config/some.toml: {sentence}"]


def test_every_mistake_is_told() -> None:
    assert len(mistakes({"a": 1, "b": 2, "inner": {}, "words": 3})) == 4


def test_a_value_from_the_environment_is_told_by_its_variable() -> None:
    told = mistakes({"inner": {"name": "a", "weight": "x"}}, {("inner", "weight"): "WEIGHT"})
    assert told[0].startswith("WEIGHT (inner.weight): must be")


def test_values_are_never_repeated() -> None:
    told = mistakes({"inner": {"name": "a", "weight": "s3cret"}, "words": "s3cret", "other": "s3cret"})
    assert "s3cret" not in "\n".join(told)


@pytest.mark.parametrize(
    ("location", "key"),
    [(("a",), "a"), (("a", 0, "b"), "a[1].b"), (("a", 0, 1), "a[1][2]")],
)
def test_keys_are_counted_from_one(location: Location, key: str) -> None:
    assert format_location(location) == key


def test_a_missing_file_is_empty(tmp_path: Path) -> None:
    assert read_toml(tmp_path / "none.toml") == {}


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("\ufeffa = 1", encoding="utf-8")
    assert read_toml(tmp_path / "a.toml") == {"a": 1}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a = 1\nb = \n", "line 2"),
        (b"a = '\xff'", "utf-8"),
        (b"a = " + b"9" * 5000, "not valid TOML"),
        (b"a = " + b"[" * 5000, "not valid TOML"),
    ],
    ids=["syntax", "bytes", "huge number", "deep nesting"],
)
def test_what_is_not_toml_is_told_with_its_place(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(ConfigurationError, match=told) as caught:
        read_toml(tmp_path / "a.toml")
    assert caught.value.mistakes[0].startswith(f"{tmp_path}/a.toml: not valid TOML")


def test_a_folder_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        read_toml(tmp_path)


@given(st.binary(max_size=60))
def test_any_bytes_are_toml_or_a_mistake(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(content)
    try:
        read_toml(file)
    except ConfigurationError as error:
        assert error.mistakes
