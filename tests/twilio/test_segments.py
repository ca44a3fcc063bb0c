"""Segments by the tables of GSM 03.38, and properties of every text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.twilio.segments import Encoding, Segments, count_segments, find_non_gsm

GSM, UCS = Encoding.GSM_7, Encoding.UCS_2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Segments(GSM, 1, 0)),
        ("Hello", Segments(GSM, 1, 5)),
        ("a" * 160, Segments(GSM, 1, 160)),
        ("a" * 161, Segments(GSM, 2, 161)),
        ("a" * 306, Segments(GSM, 2, 306)),
        ("a" * 307, Segments(GSM, 3, 307)),
        ("€", Segments(GSM, 1, 2)),
        ("€" * 80, Segments(GSM, 1, 160)),
        ("€" * 81, Segments(GSM, 2, 162)),
        ("[x]{y}~|^\\\f", Segments(GSM, 1, 20)),
        ("ÄÖÑÜäöñüàèéùìòÇØøÅå", Segments(GSM, 1, 19)),
        ("line\nline\r", Segments(GSM, 1, 10)),
        ("ç", Segments(UCS, 1, 1)),
        ("`", Segments(UCS, 1, 1)),
        ("tab\t", Segments(UCS, 1, 4)),
        ("“quoted”", Segments(UCS, 1, 8)),
        ("я" * 70, Segments(UCS, 1, 70)),
        ("я" * 71, Segments(UCS, 2, 71)),
        ("я" * 134, Segments(UCS, 2, 134)),
        ("я" * 135, Segments(UCS, 3, 135)),
        ("\uffff" * 70, Segments(UCS, 1, 70)),
        ("👍", Segments(UCS, 1, 2)),
        ("👍" * 35, Segments(UCS, 1, 70)),
        ("👨‍👩‍👧", Segments(UCS, 1, 8)),
    ],
)
def test_a_text_is_counted_by_the_standard(text: str, expected: Segments) -> None:
    assert count_segments(text) == expected


def test_an_escape_pair_is_not_split() -> None:
    text = "a" * 152 + "€" + "a" * 152
    assert len(text) + 1 == 306
    assert count_segments(text).count == 3


def test_a_surrogate_pair_is_not_split() -> None:
    text = "я" * 66 + "👍" + "я" * 66
    assert count_segments(text) == Segments(UCS, 3, 134)


@given(st.text(max_size=400))
def test_characters_are_septets_or_code_units(text: str) -> None:
    segments = count_segments(text)
    if segments.encoding is UCS:
        assert segments.characters == len(text.encode("utf-16-le", "surrogatepass")) // 2
    else:
        assert len(text) <= segments.characters <= 2 * len(text)


@given(st.text(max_size=400))
def test_the_segments_hold_the_text_and_hardly_more(text: str) -> None:
    segments = count_segments(text)
    single, multiple = (160, 153) if segments.encoding is GSM else (70, 67)
    assert (segments.count == 1) == (segments.characters <= single)
    if segments.count > 1:
        assert segments.count * multiple >= segments.characters > (segments.count - 1) * (multiple - 1)


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_longer_text_has_at_least_as_many_segments(text: str, more: str) -> None:
    assert count_segments(text + more).count >= count_segments(text).count


def test_each_character_outside_gsm_7_is_named_once() -> None:
    assert find_non_gsm("a\u2019b\u2019c\u201d €") == ("\u2019", "\u201d")
    assert find_non_gsm("plain") == ()
