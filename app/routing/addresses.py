"""Numbers as people write them."""

from __future__ import annotations


def read_address(text: str) -> str:
    """Return a number as Twilio writes it, from ``+1 (415) 555-0123``; what is no E.164 stays as it is."""
    number = text.strip()
    return "+" + "".join(filter(str.isalnum, number)) if number.startswith("+") else number
