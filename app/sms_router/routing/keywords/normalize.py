"""Text normalization: keywords and texts are compared in the form that `normalize` returns.

"¡Hola!", "HOLA" and "hola" become the same text. Typographic quotes, invisible characters, the digits of
other scripts, the marks that Arabic and Greek spelling may leave out, and the dots of a Turkish i make no
difference. No letter of any script is removed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

MAX_TEXT_LENGTH = 1600
"""Characters of a text that are compared: Twilio sends no longer text (facts 1.2)."""

_INVISIBLE = re.compile(
    "["
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # control characters
    "\u00ad\u034f\u061c\u180b-\u180f"  # soft hyphen, joiner, marks of direction, Mongolian variants
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"  # zero width, joiners, marks of direction
    "\ufe00-\ufe0f\U000e0100-\U000e01ef"  # variation selectors
    "\ufff9-\ufffc"  # annotations, and the object that dictation inserts
    "\u20e3\U0001f3fb-\U0001f3ff"  # the box around a keycap, skin tones
    "]+"
)
"""Characters that change how another character is drawn, not which one it is. They are removed.

A heart with and without a colour, a thumb of any skin tone and a boxed 1 equal the plain character.
Zero-width joiners are removed everywhere: a joined emoji equals the same emoji side by side, and
Persian and Indic words are equal whether or not the phone inserts a joiner. The tag characters that
distinguish one regional flag from another stay.
"""

_TYPOGRAPHIC = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u2035\u00b4`\u02b9\u02bb\u02bc\u2039\u203a", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u2036\u00ab\u00bb", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
)
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")
"""A decimal digit of a script that is not ASCII, such as the Arabic or Devanagari ones."""

_OPTIONAL_MARKS = re.compile("i\u0307|\u0131|[\u0640\u064b-\u0652\u0670\u06d6-\u06ed]")
"""Spelling that writers leave out or that case folding does not make equal.

The dot that folding adds to a Turkish capital İ, the i without a dot (its capital is the plain I), and in
Arabic the stretching tatweel and the vowel marks (harakat).
"""

_GREEK = re.compile("[\u0370-\u03ff\u1f00-\u1fff][\u0300-\u036f]*")
_GREEK_ACCENTS = re.compile("[\u0300\u0301\u0313\u0314\u0342\u0345]")
"""Greek capitals are written without these; the dialytika stays on them."""

_WORDS_ALONE = re.compile(r"(?:[^\W_]|\s)*")
_APOSTROPHE = "'"
_IN_NUMBERS = ".,:/"

_ASCII_EDGES = " !\"#%&'()*,-./:;?@[\\]_{}"
_ACCENTS = re.compile("[\u0300-\u036f]+")
_STROKES = str.maketrans("đøłħŧı", "dolhti")


def normalize(text: str) -> str:
    """Return the text in the form in which keywords are compared.

    Case is folded, white space is collapsed, and punctuation around the text is removed. Only the first
    1600 characters count. A text of punctuation alone is kept, so that "?" can be a keyword. The result
    of a second normalization is the same.
    """
    text = text[:MAX_TEXT_LENGTH]
    if text.isascii():
        if not text.isprintable():
            text = _INVISIBLE.sub("", text)
        return trim(" ".join(text.replace("`", "'").lower().split()))
    folded = _fold(text)
    # Each of Unicode's foldings is stable by itself, but not one after the other.
    while (again := _fold(folded)) != folded:
        folded = again
    return folded


def _fold(text: str) -> str:
    visible = _INVISIBLE.sub("", text).translate(_TYPOGRAPHIC)
    caseless = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold())
    caseless = _OPTIONAL_MARKS.sub(_without_mark, _OTHER_DIGIT.sub(_ascii_digit, caseless))
    caseless = _GREEK.sub(_without_greek_accents, caseless)
    return trim(" ".join(caseless[:MAX_TEXT_LENGTH].split()))


def _ascii_digit(match: re.Match[str]) -> str:
    return str(unicodedata.decimal(match[0]))


def _without_mark(match: re.Match[str]) -> str:
    return "i" if match[0] in ("i\u0307", "\u0131") else ""


def _without_greek_accents(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFC", _GREEK_ACCENTS.sub("", unicodedata.normalize("NFD", match[0])))


def tidy(text: str) -> str:
    """Return the text as patterns match it: normalized, but with capitals and outer punctuation.

    Patterns ignore case by themselves, and a group returns what the contact typed, with ASCII digits.
    """
    visible = _INVISIBLE.sub("", text[:MAX_TEXT_LENGTH]).translate(_TYPOGRAPHIC)
    compatible = unicodedata.normalize("NFKC", visible)[:MAX_TEXT_LENGTH]
    return " ".join(_OTHER_DIGIT.sub(_ascii_digit, compatible).split())


def trim(text: str) -> str:
    """Remove punctuation and white space around a text; a text of nothing else is returned unchanged."""
    return text.strip(_ASCII_EDGES) or text if text.isascii() else _strip(text, is_edge)


def _strip(text: str, is_edge: Callable[[str], bool]) -> str:
    """Remove some characters around a text; one of nothing else is returned unchanged."""
    start, end = 0, len(text)
    while start < end and is_edge(text[start]):
        start += 1
    while end > start and is_edge(text[end - 1]):
        end -= 1
    return text[start:end] or text


def is_edge(character: str) -> bool:
    """Return whether `trim` removes the character: it is white space or punctuation."""
    return character.isspace() or unicodedata.category(character)[0] == "P"


def is_sign(character: str) -> bool:
    """Return whether a character is punctuation, a symbol or an emoji: no letter, mark, digit or blank.

    Emoji that this Python's Unicode data does not know yet are unassigned (category Cn) and count too.
    """
    return unicodedata.category(character)[0] in "PSC"


def loosen(normalized: str) -> str | None:
    """Return a normalized text without the signs around it; None if it has no signs at all.

    `normalize` keeps symbols, because "+1", "C++" or an emoji may be a keyword. This is the second form in
    which a text is looked up, when none of the rules has a keyword for the first: "PIE+", "~hours~",
    "yes ❤". A text of signs alone is returned unchanged.
    """
    if _WORDS_ALONE.fullmatch(normalized):
        return None
    return _strip(normalized, lambda character: character.isspace() or is_sign(character))


def normalize_answer(text: str) -> str:
    """Return a text as keywords are compared, without the signs around it: "l" for "L.", "“L”" and "l 👍"."""
    normalized = normalize(text)
    return loosen(normalized) or normalized


def cut_at_sign(token: str) -> str:
    """Return the part of a token before its first sign: "pie" of "pie,please", "pie👍" and "pie/apple".

    An apostrophe between letters ("don't") and the signs inside a number ("3.5", "10:30") do not end it.
    """
    for place in range(1, len(token)):
        if is_sign(token[place]) and not _joins(token, place):
            return token[:place]
    return token


def _joins(token: str, place: int) -> bool:
    before, sign, after = token[place - 1], token[place], token[place + 1 : place + 2]
    if sign == _APOSTROPHE:
        return before.isalpha() and after.isalpha()
    return sign in _IN_NUMBERS and before.isdecimal() and after.isdecimal()


def fold_accents(text: str) -> str:
    """Remove the accents of Latin, Greek and Cyrillic letters: "menú" becomes "menu".

    The vowel signs of other scripts are not accents and stay.
    """
    if text.isascii():
        return text
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFC", bare).translate(_STROKES)
