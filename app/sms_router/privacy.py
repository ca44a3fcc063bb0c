"""How people's numbers and words look where others may read them."""

from __future__ import annotations

_LONGEST_SHORT_CODE = 8


def mask_number(address: str) -> str:
    """Shorten a person's number: ``+1415•••0123``; at least three digits are left out.

    Short codes and names belong to businesses, and stay; the channel of ``whatsapp:+1415...`` does
    too.
    """
    channel, colon, number = address.rpartition(":")
    digits = number.removeprefix("+")
    if not digits.isdigit() or (digits == number and len(digits) <= _LONGEST_SHORT_CODE):
        return address
    first, last = (5, 4) if len(number) > 11 else (3, 2)
    return f"{channel}{colon}{number[:first]}•••{number[-last:]}"


def mask_text(text: str) -> str:
    """Say only how long a text is."""
    if not text:
        return ""
    return f"({len(text)} characters)" if len(text) > 1 else "(1 character)"
