"""Text normalization: which texts are compared as equal."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sms_router.routing.keywords.normalize import (
    cut_at_sign,
    fold_accents,
    loosen,
    normalize,
    normalize_answer,
    tidy,
    trim,
)

TYPED = st.text(max_size=60) | st.text(
    st.sampled_from(
        ["a", "É", "ß", "İ", " ", "\n", ".", "¿", "\u2019", "\u0149", "\u0301", "\u200d", "\ufe0f", "ก", "ิ"]
    ),
    max_size=20,
)


MARKS_THAT_MAY_BE_LEFT_OUT = "".join(
    chr(code)
    for code in (*range(0x0300, 0x0370), *range(0x064B, 0x0653), 0x0670, *range(0x06D6, 0x06EE), 0x0640)
)


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("STOP", "stop"),
        ("Stop.", "stop"),
        ("  stop \r\n", "stop"),
        ("STOP 12345", "stop 12345"),
        ("stop\tthis\n\nbill", "stop this bill"),
        ("(Stop)!!!", "stop"),
        ("#hours", "hours"),
        ("opt-in", "opt-in"),
        ("+1", "+1"),
        ("$5", "$5"),
        ("", ""),
        (" \n", ""),
        # typographic quotes and dashes, as phones write them
        ("“Stop”", "stop"),
        ("don\u2019t", "don't"),
        ("don\u00b4t", "don't"),
        ("don`t", "don't"),
        ("opt\u2011in", "opt-in"),
        # invisible characters
        ("st\u200bop", "stop"),
        ("\ufeffSTOP", "stop"),
        ("\u200eSTOP\u200f", "stop"),
        ("S\u00adTOP", "stop"),
        ("\x00stop\x07", "stop"),
        ("\u200b", ""),
        # width and ligatures
        ("\uff33\uff34\uff2f\uff30", "stop"),
        ("ﬁsh", "fish"),
        ("STOP\u00a0NOW", "stop now"),
        # languages
        ("¡Hola!", "hola"),
        ("¿QUÉ?", "qué"),
        ("QUE\u0301", "qué"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("สวัสดี!", "สวัสดี"),
        ("বাংলা।", "বাংলা"),
        ("မြန်မာ။", "မြန်မာ"),
        ("مرحبا؟", "مرحبا"),
        ("نمی\u200cشود", "نمیشود"),
        ("停止。", "停止"),
        # symbols
        ("?", "?"),
        ("!!!", "!!!"),
        ("- -", "- -"),
        ("👍", "👍"),
        ("👍🏽", "👍"),
        ("👍!", "👍"),
        ("❤️", "❤"),
        ("1️⃣", "1"),
        ("#️⃣", "#"),
        ("🇧🇷", "🇧🇷"),
        (
            "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
            "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        ),
    ],
)
def test_case_width_and_outer_punctuation_are_removed(text: str, normalized: str) -> None:
    assert normalize(text) == normalized


@given(TYPED)
@example("\u0149")
@example("\u1fef")
@example("\ufdfa" * 200)
def test_normalizing_twice_changes_nothing(text: str) -> None:
    assert normalize(normalize(text)) == normalize(text)


@given(TYPED)
def test_case_and_outer_white_space_make_no_difference(text: str) -> None:
    normalized = normalize(text)
    assert normalize(f"  {text}\n\u200b") == normalized
    assert normalize(normalized.upper().lower()) == normalize(normalized.upper())


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_the_ascii_shortcut_returns_the_same_result(text: str) -> None:
    assert normalize(text) == normalize(text + "\u200b")


@pytest.mark.parametrize("text", ["a" * 5000, "é" * 5000, "\ufdfa" * 5000, " " * 5000 + "a", "\u0301" * 5000])
def test_no_more_than_1600_characters_are_returned(text: str) -> None:
    assert len(normalize(text)) <= 1600


@pytest.mark.parametrize("letter", ["a", "é"])
def test_the_first_1600_characters_count(letter: str) -> None:
    assert [len(normalize(letter * size)) for size in (1599, 1600, 1601)] == [1599, 1600, 1600]
    assert [len(tidy(letter * size)) for size in (1599, 1600, 1601)] == [1599, 1600, 1600]
    assert len(tidy("ﬁ" * 1600)) == 1600


@pytest.mark.parametrize(
    ("token", "before_sign"),
    [
        ("pie", "pie"),
        ("pie,please", "pie"),
        ("pie👍", "pie"),
        ("don't", "don't"),
        ("o'1", "o"),
        ("1'o", "1"),
        ("it's-a", "it's"),
        ("3.5", "3.5"),
        ("10:30", "10:30"),
        ("1/2", "1/2"),
        ("1,5", "1,5"),
        ("1-5", "1"),
        ("3.x", "3"),
        ("x.5", "x"),
        ("5.", "5"),
        ("+1", "+1"),
        ("++1", "+"),
        ("", ""),
    ],
)
def test_a_token_is_cut_at_its_first_sign(token: str, before_sign: str) -> None:
    assert cut_at_sign(token) == before_sign


@pytest.mark.parametrize(
    ("normalized", "loose"),
    [
        ("pie", None),
        ("pie apple", None),
        ("", None),
        ("pie+", "pie"),
        ("~hours~", "hours"),
        ("yes ❤", "yes"),
        ("+ x +", "x"),
        ("a_b", "a_b"),
        ("++", "++"),
        ("❤❤", "❤❤"),
    ],
)
def test_the_signs_around_a_text_are_removed(normalized: str, loose: str | None) -> None:
    assert loosen(normalized) == loose
    assert normalize_answer(normalized.upper()) == (normalized if loose is None else loose)


@pytest.mark.parametrize(
    ("text", "trimmed"),
    [("hours,", "hours"), ("¡hola!", "hola"), ("...", "..."), ("¿?", "¿?"), ("a.b", "a.b"), ("", "")],
)
def test_punctuation_alone_is_not_trimmed(text: str, trimmed: str) -> None:
    assert trim(text) == trimmed


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("menu", "menu"),
        ("menú", "menu"),
        ("información", "informacion"),
        ("mañana", "manana"),
        ("straße", "straße"),
        ("łódź", "lodz"),
        ("đặng", "dang"),
        ("\u03bd\u03b1\u03af", "\u03bd\u03b1\u03b9"),
        ("สวัสดี", "สวัสดี"),
        ("বাংলা", "বাংলা"),
        ("မြန်မာ", "မြန်မာ"),
        ("한국", "한국"),
    ],
)
def test_accents_are_removed_and_vowel_signs_stay(text: str, folded: str) -> None:
    assert fold_accents(text) == folded


@given(TYPED)
def test_folding_accents_twice_changes_nothing(text: str) -> None:
    assert fold_accents(fold_accents(text)) == fold_accents(text)


def test_case_makes_no_difference_for_any_letter_of_unicode() -> None:
    letters = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).lower() != chr(code).upper()]
    assert len(letters) > 2000
    assert [letter for letter in letters if normalize(letter.upper()) != normalize(letter.lower())] == []


def test_every_decimal_digit_of_unicode_is_its_ascii_digit() -> None:
    digits = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Nd"]
    assert len(digits) > 600
    assert [digit for digit in digits if normalize(digit) != str(unicodedata.digit(digit))] == []
    assert [digit for digit in digits if tidy(digit) != str(unicodedata.digit(digit))] == []


@given(st.text(st.characters(categories=["Lo", "Mc", "Mn"], exclude_characters=MARKS_THAT_MAY_BE_LEFT_OUT)))
def test_no_letter_or_vowel_sign_of_a_script_without_case_is_removed(text: str) -> None:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    assert len(normalize(text)) <= len(folded)
    assert [c for c in folded if unicodedata.category(c) == "Lo"] == [
        c for c in normalize(text) if unicodedata.category(c) == "Lo"
    ]
