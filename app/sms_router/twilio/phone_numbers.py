"""Parsing of phone numbers as people write them."""

from __future__ import annotations


def parse_phone_number(text: str) -> str:
    """Return a number such as ``+1 (415) 555-0123`` in E.164; a text without a plus is only stripped."""
    number = text.strip()
    return "+" + "".join(filter(str.isalnum, number)) if number.startswith("+") else number
