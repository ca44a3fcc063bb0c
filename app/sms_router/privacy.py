"""Masking of numbers and texts in logs, lists and the console."""

from __future__ import annotations

import re
from collections.abc import Callable

_MAX_SHORT_CODE_LENGTH = 8

_SEPARATORS = r"[\s().\-/\u200b-\u200d\u2010-\u2015\u2060\u2212\ufeff]"

_NOT_NUMBERS = (
    r"\b(?:[A-Za-z]{2})?[0-9a-fA-F]{32,}\b",  # sids and digests
    r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b",
    r"(?<!\d)(?:19|20)\d\d[-./][01]?\d[-./][0-3]?\d(?!\d)(?:[T ,]+\d\d?:\d\d(?::\d\d(?:[.,]\d+)?)?)?",
    r"(?<!\d)[0-3]?\d[-./][0-3]?\d[-./](?:19|20)\d\d(?!\d)",
    r"(?<![\d.])\d{1,2}\.\d+(?!\.?\d)",
    r"(?<!\d)\d\d?:\d\d(?::\d\d(?:[.,]\d+)?)?(?!\d)",
    r"(?<!\d)\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)(?::\d+)?",  # IPv4
)

_NUMBER_IN_TEXT = re.compile(
    rf"(?P<other>{'|'.join(_NOT_NUMBERS)})"
    r"|(?<!\d)(?P<prefix>[+\uff0b]|%2[Bb]|\b00)?"
    rf"(?P<number>(?:\({_SEPARATORS}?)?\d(?:{_SEPARATORS}{{0,3}}\d){{6,18}})(?!\d)"
)
"""A number in any notation; or a sid, a date, a time, a decimal or an IP address, which is not one."""

_MIN_PLAIN_DIGITS = 9
"""Digits without ``+`` and separators are a number from this length on: shorter ones count things."""

_LOCAL_NUMBER = re.compile(r"\d{3}\D{1,3}\d{4}")


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


def mask_numbers(text: str, is_business: Callable[[str], bool] = lambda _: False) -> str:
    """Mask every telephone number in a text, in any notation, such as ``(415) 555-0123``.

    Numbers in E.164 form for which ``is_business`` returns True stay. Sids, dates, times, IP addresses and
    short amounts stay too, as far as digits alone can tell.
    """

    def mask(match: re.Match[str]) -> str:
        prefix, number = match["prefix"] or "", match["number"]
        if match["other"] or (prefix and is_business(f"+{number}")):
            return match[0]
        digits = re.sub(r"\D", "", number)
        if not prefix:
            is_plain = len(re.findall(r"\D+", number)) < 2 and not number.startswith("(")
            if is_plain and len(digits) < _MIN_PLAIN_DIGITS and not _LOCAL_NUMBER.fullmatch(number):
                return match[0]
        if prefix or len(digits) > _MAX_SHORT_CODE_LENGTH:
            return mask_number(f"+{digits}" if prefix else digits)
        return f"•••{digits[-2:]}"

    return _NUMBER_IN_TEXT.sub(mask, text)


def mask_text(text: str) -> str:
    """Replace a text by its length."""
    if not text:
        return ""
    return f"({len(text)} characters)" if len(text) > 1 else "(1 character)"
