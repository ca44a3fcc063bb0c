"""Masking of numbers and texts in logs, lists and the console."""

from __future__ import annotations

_MAX_SHORT_CODE_LENGTH = 8


def mask_number(address: str) -> str:
    """Mask a contact's number: ``+1415•••0123``; at least three digits are left out.

    Short codes and alphanumeric names belong to businesses and are not masked, nor is the channel of
    ``whatsapp:+1415...``.
    """
    channel, colon, number = address.rpartition(":")
    digits = number.removeprefix("+")
    if not digits.isdigit() or (digits == number and len(digits) <= _MAX_SHORT_CODE_LENGTH):
        return address
    first, last = (5, 4) if len(number) > 11 else (3, 2)
    return f"{channel}{colon}{number[:first]}•••{number[-last:]}"


def mask_text(text: str) -> str:
    """Replace a text by its length."""
    if not text:
        return ""
    return f"({len(text)} characters)" if len(text) > 1 else "(1 character)"
