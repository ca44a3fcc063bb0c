"""Long texts are split at word boundaries, and only white space is removed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.twilio.splitting import split_text

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
THUMB = "\U0001f44d\U0001f3fd"
BRAZIL = "\U0001f1e7\U0001f1f7"
FRANCE = "\U0001f1eb\U0001f1f7"
HEART = "\u2764\ufe0f"
KSSA = "\u0995\u09cd\u09b7"


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("", 10, []),
        ("   \n ", 10, []),
        ("   \n ", 3, []),
        ("short", 10, ["short"]),
        (" kept as it is ", 20, [" kept as it is "]),
        ("exactly ten", 11, ["exactly ten"]),
        ("one two three", 7, ["one two", "three"]),
        ("one two three", 8, ["one two", "three"]),
        ("one two three", 6, ["one", "two", "three"]),
        ("one   two", 5, ["one", "two"]),
        ("one\ntwo\n\nthree", 8, ["one\ntwo", "three"]),
        ("hi wonderful", 10, ["hi", "wonderful"]),
        ("hi extraordinary", 10, ["hi extraor", "dinary"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("a bcdefghi", 8, ["a", "bcdefghi"]),
        ("a bcdefghij", 8, ["a bcdefg", "hij"]),
        ("a bcdefghi j", 8, ["a", "bcdefghi", "j"]),
        ("\uffff" * 4, 2, ["\uffff\uffff", "\uffff\uffff"]),
        ("ab" + "\U0001f44d\U0001f3ff", 5, ["ab", "\U0001f44d\U0001f3ff"]),
        ("ab" + "\U0001f44d\U0001f3fb", 5, ["ab", "\U0001f44d\U0001f3fb"]),
        ("ab" + "\U0001f1e6\U0001f1e6", 5, ["ab", "\U0001f1e6\U0001f1e6"]),
        ("ab" + "\U0001f1ff\U0001f1ff", 5, ["ab", "\U0001f1ff\U0001f1ff"]),
        ("ab" + "\U0001f3f4\U000e0020", 5, ["ab", "\U0001f3f4\U000e0020"]),
        ("ab" + "\U0001f3f4\U000e007f", 5, ["ab", "\U0001f3f4\U000e007f"]),
        ("ab" + "x\u200c", 3, ["ab", "x\u200c"]),
        ("ab" + "\u200cx", 3, ["a", "b\u200cx"]),
        ("ab" + "\u0915\u094d\u0937", 4, ["ab", "\u0915\u094d\u0937"]),
        ("trailing blank ", 8, ["trailing", "blank "]),
        ("สวัสดีครับ", 4, ["สวัส", "ดีค", "รับ"]),
    ],
)
def test_a_text_is_split_at_word_boundaries(text: str, limit: int, expected: list[str]) -> None:
    assert split_text(text, limit) == expected


@pytest.mark.parametrize("character", [FAMILY, THUMB, BRAZIL + FRANCE, HEART, KSSA, "e\u0301", "กิ่"])
def test_what_is_displayed_as_one_character_is_not_split(character: str) -> None:
    length = _units(character)
    text = "x" + character * 6
    for piece in split_text(text, length + 1):
        assert piece.removeprefix("x").replace(character, "") == ""


def test_a_flag_is_not_split() -> None:
    assert split_text("ab" + BRAZIL + FRANCE, 8) == ["ab" + BRAZIL, FRANCE]


def test_a_character_longer_than_the_limit_is_split() -> None:
    assert "".join(split_text("a" + "\u0301" * 50, 10)) == "a" + "\u0301" * 50


def test_an_emoji_counts_as_two() -> None:
    assert [len(piece) for piece in split_text("\U0001f600" * 1600)] == [800, 800]


def test_a_text_of_flags_is_split_between_two_flags() -> None:
    assert split_text("\U0001f1fa\U0001f1f8\U0001f1e8\U0001f1e6", 6) == [
        "\U0001f1fa\U0001f1f8",
        "\U0001f1e8\U0001f1e6",
    ]


@given(
    text=st.text(
        st.sampled_from(["a", "é", " ", "\n", "\u0301", "\u200d", *FAMILY, *BRAZIL, "ก", "ิ"]), max_size=80
    ),
    limit=st.integers(2, 30),
)
def test_every_piece_fits_and_only_white_space_is_removed(text: str, limit: int) -> None:
    pieces = split_text(text, limit)
    assert all(0 < _units(piece) <= limit for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    rest = text
    for piece in pieces:
        before, match, rest = rest.partition(piece)
        assert match
        assert not before.strip()


@given(words=st.lists(st.text("abc", min_size=1, max_size=10), max_size=30), limit=st.integers(10, 40))
def test_words_that_fit_are_not_split(words: list[str], limit: int) -> None:
    pieces = split_text(" ".join(words), limit)
    assert [word for piece in pieces for word in piece.split()] == words


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
