"""Forms are decoded exactly as the standard library decodes them, or refused."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sms_router.twilio.form import MalformedFormError, Pairs, first_values, parse_form


@pytest.mark.parametrize(
    ("raw", "pairs"),
    [
        (b"", []),
        (b"&&", []),
        (b"Body=hello", [("Body", "hello")]),
        (b"Body=+hello++", [("Body", " hello  ")]),
        (b"Body=%20hello%0D%0A", [("Body", " hello\r\n")]),
        (b"Body=1%2B1+%3D+2", [("Body", "1+1 = 2")]),
        (b"Body=a=b=c", [("Body", "a=b=c")]),
        (b"Body=&FromCity=", [("Body", ""), ("FromCity", "")]),
        (b"Flag", [("Flag", "")]),
        (b"=value", [("", "value")]),
        (b"=", [("", "")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
        (b"a=2&b=3&a=1", [("a", "2"), ("b", "3"), ("a", "1")]),
        (b"a=1&&b=2&", [("a", "1"), ("b", "2")]),
        (b"From%2FCity=%C3%A9+%F0%9F%8E%88", [("From/City", "é 🎈")]),
        (b"Body=100%&x=%zz%4", [("Body", "100%"), ("x", "%zz%4")]),
        ("Body=é".encode(), [("Body", "é")]),
        (b"Body=%EF%BB%BFx", [("Body", "\ufeffx")]),
        (b"Body=%00", [("Body", "\0")]),
        (b"\r\nBody=x\r\n", [("\r\nBody", "x\r\n")]),
        (b"Body=a%26b%3Dc&x=y", [("Body", "a&b=c"), ("x", "y")]),
        (b"a&b==c", [("a", ""), ("b", "=c")]),
        (b"Body=%01&x\x01y=z", [("Body", "\1"), ("x\1y", "z")]),
    ],
)
def test_a_form_is_decoded_without_trimming(raw: bytes, pairs: list[tuple[str, str]]) -> None:
    assert list(parse_form(raw)) == pairs


@pytest.mark.parametrize(
    "raw",
    [b"Body=%FF", b"Body=\xff", b"%C3=1", b"Body=%ED%A0%80", b"Body=%C0%AF", b"Body=%F0%9F%8E"],
)
def test_text_that_is_not_utf_8_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedFormError, match="UTF-8"):
        parse_form(raw)


def test_a_thousand_parameters_are_accepted_and_one_more_is_refused() -> None:
    full = b"&".join([b"a=1"] * 1000)
    assert len(parse_form(full)) == 1000
    with pytest.raises(MalformedFormError, match="more than"):
        parse_form(full + b"&a=1")
    with pytest.raises(MalformedFormError, match="more than"):
        parse_form(b"&" * 65536)


@pytest.mark.parametrize("invalid", ["%", "%%41", "%zz", "%4", "=%0A\n", "%0A\r"])
def test_a_form_with_a_thousand_escapes_is_refused_if_one_is_invalid(invalid: str) -> None:
    almost = f"Body={'%41' * 999}%"
    assert list(parse_form(almost.encode())) == [("Body", "A" * 999 + "%")]
    full = "Body=" + "%41" * 1000
    assert list(parse_form(full.encode())) == [("Body", "A" * 1000)]
    with pytest.raises(MalformedFormError, match="escape"):
        parse_form((full + invalid).encode())


texts = st.text(st.characters(codec="utf-8"), max_size=20)


@given(st.lists(st.tuples(texts, texts), max_size=10), st.booleans())
def test_an_encoded_form_is_decoded_to_the_same_pairs(pairs: list[tuple[str, str]], plus: bool) -> None:
    encode = quote_plus if plus else quote
    raw = "&".join(f"{encode(name, safe='')}={encode(value, safe='')}" for name, value in pairs)
    assert list(parse_form(raw.encode())) == pairs


@given(st.binary(max_size=40) | st.text("ab=&+%0124C3;é\0\1\r\n", max_size=40).map(str.encode))
@example(b"%c2\x80")
def test_any_bytes_are_decoded_as_by_the_standard_library_or_refused(raw: bytes) -> None:
    try:
        pairs = list(parse_form(raw))
    except MalformedFormError:
        pairs = None
    assert pairs == _parse_with_the_standard_library(raw)


def _parse_with_the_standard_library(raw: bytes) -> list[tuple[str, str]] | None:
    """Return the fields; None if their bytes are not UTF-8."""
    fields = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    try:
        return [(name.encode("latin-1").decode(), value.encode("latin-1").decode()) for name, value in fields]
    except UnicodeDecodeError:
        return None


def test_a_repeated_name_has_its_first_value() -> None:
    pairs = parse_form(b"a=2&b=3&a=1")
    assert first_values(pairs) == {"a": "2", "b": "3"}
    assert ("a", "1") in pairs
    assert ("a", "3") not in pairs
    with pytest.raises(ValueError, match="shorter"):
        first_values(Pairs(("a", "b"), ("1",)))
