"""Long texts, cut where a reader would cut them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

LONGEST_BODY = 1600
"""Characters of one message (facts 4 and 6.2; 21617 beyond it), counted as UTF-16 code units.

Twilio does not say how it counts an emoji; two is the reading that is never too long.
"""

_WHITE_SPACE = re.compile(r"\s")
_JOINERS = "\u200c\u200d"
_VIRAMA = 9
"""The combining class of the signs that join two consonants of an Indic script into one."""


def split_text(text: str, limit: int = LONGEST_BODY) -> list[str]:
    """Cut a text into pieces of at most ``limit`` UTF-16 code units, at word boundaries.

    A word longer than a whole piece is cut inside, but not between a letter and its marks or
    inside an emoji, unless that alone is longer. Nothing is lost except the white space at the
    cuts. A text without anything but white space has no pieces.
    """
    return list(pieces(text, limit))


def pieces(text: str, limit: int) -> Iterator[str]:
    """Yield what `split_text` returns, one piece at a time, so that a caller can stop early."""
    assert limit >= 2, "one character can need two code units"
    start = 0
    while start < len(text):
        stop = _reach(text, start, limit)
        if stop < len(text):
            stop = _boundary(text, start, stop, limit)
        piece = text[start:stop]
        if not piece.isspace():
            yield piece if stop == len(text) else piece.rstrip()
        start = _word_after(text, stop)


def _reach(text: str, start: int, limit: int) -> int:
    """The furthest end of a piece that begins at ``start``."""
    window = text[start : start + limit]
    if window.isascii():
        return start + len(window)
    room = limit
    for index, character in enumerate(window):
        room -= 2 if character > "\uffff" else 1
        if room < 0:
            return start + index
    return start + len(window)


def _boundary(text: str, start: int, stop: int, limit: int) -> int:
    """The best place to end the piece, at ``stop`` or before it."""
    space = next((index for index in range(stop, start, -1) if text[index].isspace()), None)
    if space is not None and _word_fits(text, space + 1, limit):
        return space
    end = stop
    while end > start and _joined(text, end):
        end -= 1
    return end if end > start else stop


def _word_fits(text: str, start: int, limit: int) -> bool:
    """Whether the word that begins at ``start`` can stand in one piece.

    Otherwise it is cut anyway, and ending the piece early would only waste a message: scripts
    that write no spaces look like one endless word.
    """
    space = _WHITE_SPACE.search(text, start, start + limit + 1)
    end = space.start() if space else len(text)
    return _reach(text, start, limit) >= end


def _word_after(text: str, stop: int) -> int:
    while stop < len(text) and text[stop].isspace():
        stop += 1
    return stop


def _joined(text: str, index: int) -> bool:
    """Whether the characters before and after ``index`` are seen as one."""
    before, after = text[index - 1], text[index]
    return (
        unicodedata.category(after)[0] == "M"
        or after in _JOINERS
        or before in _JOINERS
        or unicodedata.combining(before) == _VIRAMA
        or _modifies_emoji(after)
        or (_is_flag_letter(after) and _flag_letters_before(text, index) % 2 == 1)
    )


def _modifies_emoji(character: str) -> bool:
    return "\U0001f3fb" <= character <= "\U0001f3ff" or "\U000e0020" <= character <= "\U000e007f"


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flag_letters_before(text: str, index: int) -> int:
    count = 0
    while count < index and _is_flag_letter(text[index - 1 - count]):
        count += 1
    return count
