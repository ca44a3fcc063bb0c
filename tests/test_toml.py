"""TOML files as pydantic models, and the sentences for their mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, StrictBool, StrictFloat, StrictInt, ValidationError

from sms_router.errors import ConfigurationError
from sms_router.toml import (
    StrictModel,
    format_location,
    format_validation_errors,
    read_toml,
    validate,
)
from sms_router.toml_positions import Location
from tests.places import without_place

FILE = Path("config/some.toml")


class Inner(StrictModel):
    name: str
    weight: int = 1


class Outer(StrictModel):
    inner: Inner | None = None
    several: tuple[Inner, ...] = ()
    words: Annotated[tuple[str, ...], Field(min_length=1)] = ("x",)
    place: Path = Path()
    flag: StrictBool = False
    count: StrictInt = 0
    share: StrictFloat = 0.0
    shares: Mapping[int, float] = {}
    short: Annotated[str, Field(max_length=3)] = ""
    start: Annotated[str, Field(alias="from")] = ""


def mistakes(content: object, variables: dict[Location, str] | None = None) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(content)
    return format_validation_errors(caught.value, Outer, FILE, variables or {})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"innr": {}}, "innr: unknown key; did you mean inner?"),
        ({"inner": {"name": "a", "zzz": 1}}, "inner.zzz: unknown key; known ones are name, weight"),
        ({"inner": {"name": "a", "wieght": 1}}, "inner.wieght: unknown key; did you mean weight?"),
        ({"several": [{"name": "a"}, {}]}, 'several[2].name: is missing; add name = "..."'),
        (
            {"several": {"name": "a"}},
            "several: must be a list of tables; write [[several]], with two brackets",
        ),
        ({"several": ["a"]}, "several[1]: must be a table with keys of its own"),
        ({"inner": "a"}, 'inner: must be a table; write inner = { name = "..." }'),
        ({"inner": {"name": 5}}, 'inner.name: must be text in quotes, like "this"'),
        ({"place": 5}, 'place: must be text in quotes, like "this"'),
        ({"words": "HOURS"}, 'words: must be a list in brackets, like ["this"]'),
        ({"words": [1]}, 'words[1]: must be text in quotes, like "this"'),
        ({"flag": 1}, "flag: must be true or false"),
        ({"count": True}, "count: must be a whole number"),
        ({"share": "half"}, "share: must be a number"),
        ({"shares": 1}, "shares: must be a table with keys of its own"),
        ({"shares": {"x": 1}}, "shares.x: must be a valid integer, unable to parse string as an integer"),
        ({"short": "long"}, "short: must have at most 3 characters"),
        ({"form": "x"}, "form: unknown key; did you mean from?"),
        ({"words": []}, "words: must not be empty"),
        (
            {"inner": {"name": "a", "weight": "heavy"}},
            "inner.weight: must be a valid integer, unable to parse string as an integer",
        ),
    ],
)
def test_a_mistake_is_described_by_its_key_with_what_would_be_right(content: object, sentence: str) -> None:
    assert mistakes(content) == [f"config/some.toml: {sentence}"]


def test_every_mistake_is_described() -> None:
    assert len(mistakes({"a": 1, "b": 2, "inner": {}, "words": 3})) == 4


def test_a_value_from_the_environment_is_named_by_its_variable() -> None:
    sentences = mistakes({"inner": {"name": "a", "weight": "x"}}, {("inner", "weight"): "WEIGHT"})
    assert sentences[0].startswith("WEIGHT (inner.weight): must be")


def test_values_are_never_repeated() -> None:
    sentences = mistakes({"inner": {"name": "a", "weight": "s3cret"}, "words": "s3cret", "other": "s3cret"})
    assert "s3cret" not in "\n".join(sentences)


def test_validate_returns_the_model() -> None:
    outer = validate({"inner": {"name": "a"}, "from": "x"}, Outer, FILE)
    assert (outer.inner, outer.start) == (Inner(name="a"), "x")
    with pytest.raises(ValidationError, match="frozen"):
        setattr(outer, "start", "y")  # noqa: B010 (mypy knows that it is frozen)


def test_validate_raises_every_mistake() -> None:
    with pytest.raises(ConfigurationError) as caught:
        validate({"count": "x", "flag": "x"}, Outer, FILE)
    assert caught.value.mistakes == (
        "config/some.toml: flag: must be true or false",
        "config/some.toml: count: must be a whole number",
    )


def test_without_a_source_the_sentence_begins_with_the_key() -> None:
    with pytest.raises(ConfigurationError) as caught:
        validate({"count": "x"}, Outer)
    assert caught.value.mistakes == ("count: must be a whole number",)


@pytest.mark.parametrize(
    ("location", "key"),
    [(("a",), "a"), (("a", 0, "b"), "a[1].b"), (("a", 0, 1), "a[1][2]"), (("a", "b", "[key]"), "a.b")],
)
def test_keys_are_counted_from_one(location: Location, key: str) -> None:
    assert format_location(location) == key


def test_a_missing_file_is_empty(tmp_path: Path) -> None:
    assert read_toml(tmp_path / "none.toml") == {}


def test_a_required_file_that_is_missing_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_toml(tmp_path / "none.toml", required=True)
    assert caught.value.mistakes == (f"{tmp_path}/none.toml: cannot be read: No such file or directory",)


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("\ufeffa = 1", encoding="utf-8")
    assert read_toml(tmp_path / "a.toml") == {"a": 1}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a = 1\nb = \n", "a.toml:2:5: "),
        (b"a = 1\nb = [\n\n", "a.toml:2:6: not valid TOML: .*, and the file ends here$"),
        (b"a = '\xff'", "utf-8"),
        (b"a = " + b"9" * 5000, "not valid TOML"),
        (b"a = " + b"[" * 5000, "not valid TOML"),
    ],
    ids=["syntax", "end", "bytes", "huge number", "deep nesting"],
)
def test_invalid_toml_is_reported_with_its_line(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        read_toml(tmp_path / "a.toml")
    assert without_place(caught.value.mistakes[0]).startswith(f"{tmp_path}/a.toml: not valid TOML")


def test_a_folder_in_place_of_the_file_is_reported(tmp_path: Path) -> None:
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
