"""Text normalization: keywords and texts are compared in the form that `normalize` returns.

"¡Hola!", "HOLA" and "hola" become the same text, typographic quotes and invisible characters make no
difference, and no letter of any script is removed.
"""

from __future__ import annotations

import re
import unicodedata

MAX_TEXT_LENGTH = 1600
"""Characters of a text that are compared: Twilio sends no longer text (facts 1.2)."""

_INVISIBLE = re.compile(
    "["
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # control characters
    "\u00ad\u034f\u061c\u180b-\u180f"  # soft hyphen, joiner, marks of direction, Mongolian variants
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"  # zero width, joiners, marks of direction
    "\ufe00-\ufe0f\U000e0100-\U000e01ef"  # variation selectors
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
    return trim(" ".join(caseless[:MAX_TEXT_LENGTH].split()))


def tidy(text: str) -> str:
    """Return the text as patterns match it: normalized, but with capitals and outer punctuation.

    Patterns ignore case by themselves, and a group returns what the contact typed.
    """
    visible = _INVISIBLE.sub("", text[:MAX_TEXT_LENGTH]).translate(_TYPOGRAPHIC)
    return " ".join(unicodedata.normalize("NFKC", visible)[:MAX_TEXT_LENGTH].split())


def trim(text: str) -> str:
    """Remove punctuation and white space around a text; a text of nothing else is returned unchanged."""
    if text.isascii():
        return text.strip(_ASCII_EDGES) or text
    start, end = 0, len(text)
    while start < end and is_edge(text[start]):
        start += 1
    while end > start and is_edge(text[end - 1]):
        end -= 1
    return text[start:end] or text


def is_edge(character: str) -> bool:
    """Return whether `trim` removes the character: it is white space or punctuation."""
    return character.isspace() or unicodedata.category(character)[0] == "P"


def fold_accents(text: str) -> str:
    """Remove the accents of Latin, Greek and Cyrillic letters: "menú" becomes "menu".

    The vowel signs of other scripts are not accents and stay.
    """
    if text.isascii():
        return text
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFC", bare).translate(_STROKES)
