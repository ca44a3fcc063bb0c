"""Segments of a text, for which it is billed (GSM 03.38 and UCS-2).

One segment holds 160 GSM-7 or 70 UCS-2 characters. The segments of a longer text hold 153 or 67, because
each then has a header of six bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

_GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENSION = frozenset("\f^{}\\[~]|€")
_GSM = _GSM_BASIC | _GSM_EXTENSION


class Encoding(Enum):
    """The character encodings of a text message; the values are Twilio's names."""

    GSM_7 = "GSM-7"
    UCS_2 = "UCS-2"


_SINGLE = {Encoding.GSM_7: 160, Encoding.UCS_2: 70}
_SEGMENT = {Encoding.GSM_7: 153, Encoding.UCS_2: 67}


@dataclass(frozen=True, slots=True)
class Segments:
    """The size of a text.

    ``characters`` counts septets in GSM-7, where the extension table (``€ ^ { } [ ] ~ | \\`` and form
    feed) takes two, and UTF-16 code units in UCS-2, where an emoji takes two or more.
    """

    encoding: Encoding
    count: int
    characters: int


def count_segments(text: str) -> Segments:
    """Return the encoding, the number of segments and of characters of a text.

    An empty text is one segment: Twilio reports ``NumSegments=1`` for media without a text (facts 1.2).
    """
    encoding = Encoding.GSM_7 if _GSM.issuperset(text) else Encoding.UCS_2
    if encoding is Encoding.GSM_7:
        widths = [2 if character in _GSM_EXTENSION else 1 for character in text]
    else:
        widths = [2 if character > "\uffff" else 1 for character in text]
    characters = sum(widths)
    count = 1 if characters <= _SINGLE[encoding] else _count_segments(widths, _SEGMENT[encoding])
    return Segments(encoding, count, characters)


def find_non_gsm(text: str) -> tuple[str, ...]:
    """Return the characters, each once, for which a text is encoded in UCS-2."""
    return tuple(dict.fromkeys(character for character in text if character not in _GSM))


def _count_segments(widths: Iterable[int], limit: int) -> int:
    """Count the segments of a long text; an escape or surrogate pair is not split between two."""
    segments, filled = 1, 0
    for width in widths:
        if filled + width > limit:
            segments, filled = segments + 1, 0
        filled += width
    return segments
