"""Masking of numbers and texts in logs, lists and the console."""

from __future__ import annotations

import re

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


def mask_number_in(text: str, address: str) -> str:
    """Mask a contact's number wherever a text has it, in any notation, such as ``(415) 555-0123``.

    A notation without the country's digits is found too, from seven digits on.
    """
    masked = mask_number(address)
    if masked == address:
        return text
    digits = re.sub(r"\D", "", address)
    text = text.replace(address, masked)
    separators = r"[\s()./\-\u2010-\u2015\u00a0]{0,3}"
    for start in range(min(4, len(digits) - 6)):  # a country's code has up to three digits
        pattern = r"(?<!\d)(?:\+|00)?\(?(?:0\)?)?" + separators.join(digits[start:]) + r"(?!\d)"
        text = re.sub(pattern, masked, text)
    return text


def mask_text(text: str) -> str:
    """Replace a text by its length."""
    if not text:
        return ""
    return f"({len(text)} characters)" if len(text) > 1 else "(1 character)"
