"""Numbers as people write them."""

from __future__ import annotations


def parse_phone_number(text: str) -> str:
    """Return a number in E.164, from ``+1 (415) 555-0123``; anything else stays as it is."""
    number = text.strip()
    return "+" + "".join(filter(str.isalnum, number)) if number.startswith("+") else number
