"""Splits long texts at word boundaries."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

MAX_BODY_LENGTH = 1600
"""Characters of one message (facts 4 and 6.2; 21617 beyond it), counted as UTF-16 code units.

Twilio does not document how it counts an emoji; two units are the safe assumption.
"""

_WHITE_SPACE = re.compile(r"\s")
_JOINERS = "\u200c\u200d"
_VIRAMA = 9
"""The combining class of the characters that join two consonants of an Indic script into one."""


def split_text(text: str, limit: int = MAX_BODY_LENGTH) -> list[str]:
    """Split a text at word boundaries into pieces of at most ``limit`` UTF-16 code units.

    A word longer than a piece is split inside, but not between a letter and its marks or inside an emoji,
    unless that alone is longer. Only white space at the splits is removed. A text of white space alone has
    no pieces.
    """
    return list(iter_pieces(text, limit))


def iter_pieces(text: str, limit: int) -> Iterator[str]:
    """Yield the pieces of `split_text` one by one, so that a caller can stop early."""
    assert limit >= 2, "one character may have two code units"
    start = 0
    while start < len(text):
        stop = _max_end(text, start, limit)
        if stop < len(text):
            stop = _boundary(text, start, stop, limit)
        piece = text[start:stop]
        if not piece.isspace():
            yield piece if stop == len(text) else piece.rstrip()
        start = stop
        while start < len(text) and text[start].isspace():
            start += 1


def _max_end(text: str, start: int, limit: int) -> int:
    """Return the greatest end of a piece that begins at ``start``."""
    window = text[start : start + limit]
    if window.isascii():
        return start + len(window)
    remaining = limit
    for index, character in enumerate(window):
        remaining -= 2 if character > "\uffff" else 1
        if remaining < 0:
            return start + index
    return start + len(window)


def _boundary(text: str, start: int, stop: int, limit: int) -> int:
    """Return the best end of a piece, which is ``stop`` or before it."""
    space = next((index for index in range(stop, start, -1) if text[index].isspace()), None)
    if space is not None and _word_fits(text, space + 1, limit):
        return space
    end = stop
    while end > start and _is_joined(text, end):
        end -= 1
    return end if end > start else stop


def _word_fits(text: str, start: int, limit: int) -> bool:
    """Return whether the word that begins at ``start`` fits into one piece.

    Otherwise it is split anyway, and to end the piece before it would only cost a message: scripts without
    spaces look like one long word.
    """
    space = _WHITE_SPACE.search(text, start, start + limit + 1)
    end = space.start() if space else len(text)
    return _max_end(text, start, limit) >= end


def _is_joined(text: str, index: int) -> bool:
    """Return whether the characters before and after ``index`` are displayed as one."""
    before, after = text[index - 1], text[index]
    return (
        unicodedata.category(after)[0] == "M"
        or after in _JOINERS
        or before in _JOINERS
        or unicodedata.combining(before) == _VIRAMA
        or _is_emoji_modifier(after)
        or (_is_flag_letter(after) and _flag_letters_before(text, index) % 2 == 1)
    )


def _is_emoji_modifier(character: str) -> bool:
    return "\U0001f3fb" <= character <= "\U0001f3ff" or "\U000e0020" <= character <= "\U000e007f"


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flag_letters_before(text: str, index: int) -> int:
    count = 0
    while count < index and _is_flag_letter(text[index - 1 - count]):
        count += 1
    return count
