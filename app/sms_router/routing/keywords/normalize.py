"""What people type, reduced to what they mean.

Keywords and texts go through the same function, so that "¡Hola!", "HOLA" and "hola" are one
word, a phone's typographic quotes and invisible characters do not matter, and no letter of any
script is lost.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 1600
"""Characters that matter: Twilio sends no longer text (facts 1.2)."""

_INVISIBLE = re.compile(
    "["
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # control characters
    "\u00ad\u034f\u061c\u180b-\u180f"  # soft hyphen, joiner, marks of direction, Mongolian variants
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"  # zero width, joiners, marks of direction
    "\ufe00-\ufe0f\U000e0100-\U000e01ef"  # which glyph to draw
    "\u20e3\U0001f3fb-\U0001f3ff"  # the box around a key, the skin of a hand
    "]+"
)
"""How a sign is drawn, not which sign it is: dropped.

A heart with and without its colour, a thumb of any skin and a boxed 1 match the plain sign.
Zero-width joiners go everywhere: a joined emoji equals the same emoji side by side, which
nobody tells apart as keywords, and Persian and Indic words match however a phone joins them.
The tags that tell one regional flag from another stay.
"""

_TYPOGRAPHIC = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u2035\u00b4`\u02b9\u02bb\u02bc\u2039\u203a", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u2036\u00ab\u00bb", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
)
_ASCII_EDGES = " !\"#%&'()*,-./:;?@[\\]_{}"
_ACCENTS = re.compile("[\u0300-\u036f]+")
_STROKES = str.maketrans("đøłħŧı", "dolhti")


def normalise(text: str) -> str:
    """Return the text as keywords are compared: folded, collapsed, without surrounding punctuation.

    Only the first 1600 characters count. A text of nothing but punctuation stays, so that "?" can
    be a keyword. Normalising twice changes nothing.
    """
    text = text[:LONGEST]
    if text.isascii():
        if not text.isprintable():
            text = _INVISIBLE.sub("", text)
        return trim(" ".join(text.replace("`", "'").lower().split()))
    folded = _folded(text)
    # Unicode's foldings are each stable, but not one after the other.
    while (again := _folded(folded)) != folded:
        folded = again
    return folded


def _folded(text: str) -> str:
    visible = _INVISIBLE.sub("", text).translate(_TYPOGRAPHIC)
    caseless = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold())
    return trim(" ".join(caseless[:LONGEST].split()))


def tidy(text: str) -> str:
    """Return the text as patterns see it: as `normalise` does, but with capitals and punctuation.

    Patterns ignore capitals by themselves, and what they catch is handed on as it was typed.
    """
    visible = _INVISIBLE.sub("", text[:LONGEST]).translate(_TYPOGRAPHIC)
    return " ".join(unicodedata.normalize("NFKC", visible)[:LONGEST].split())


def trim(text: str) -> str:
    """Drop punctuation and white space around a text, unless nothing else is there."""
    if text.isascii():
        return text.strip(_ASCII_EDGES) or text
    start, end = 0, len(text)
    while start < end and is_edge(text[start]):
        start += 1
    while end > start and is_edge(text[end - 1]):
        end -= 1
    return text[start:end] or text


def is_edge(character: str) -> bool:
    """Say whether a character is dropped where it stands around a text: white space or punctuation."""
    return character.isspace() or unicodedata.category(character)[0] == "P"


def fold_accents(text: str) -> str:
    """Drop the accents of Latin, Greek and Cyrillic letters: "menú" becomes "menu".

    The vowel signs of other scripts are letters, not accents, and stay.
    """
    if text.isascii():
        return text
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFC", bare).translate(_STROKES)
