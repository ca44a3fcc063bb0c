"""Smart Encoding: look-alikes of GSM-7 characters are replaced, to save segments (facts 5.2).

INFERENCE: the table. Emoji and scripts of their own stay as they are.
"""

from __future__ import annotations

_LOOK_ALIKES = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u0060\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f", " "),
        **dict.fromkeys("\u200b\u2060\ufeff", ""),
        "\u2026": "...",
        "\u2022": "*",
        "\u2044": "/",
    }
)


def smart_encoded(text: str) -> str:
    """Return the text with its look-alikes replaced."""
    return text.translate(_LOOK_ALIKES)
