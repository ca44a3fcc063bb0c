"""Addresses of contacts and senders, as Twilio sends them and as people write them.

A contact is a person: SMS, MMS and RCS of one number are one contact, because Twilio keeps one opt-out for
the three (facts 11). WhatsApp and Messenger addresses are contacts of their own.
"""

from __future__ import annotations

import re
import unicodedata

_RCS = "rcs:"
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_SHORT_CODE = re.compile(r"[0-9]{3,8}")
ANONYMOUS = frozenset({"+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"})
"""In place of a withheld number: the keys of ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN, UNAVAILABLE."""
_NAMES_OF_ANONYMOUS = frozenset({"anonymous", "restricted", "blocked", "unknown", "unavailable"})
_CHANNEL_ID = re.compile(r"(?:messenger|rcs):[\w.-]{1,300}", re.ASCII)
_SEPARATORS = re.compile(r"[\s().\u2010-\u2015\u2212/-]+")


class InvalidNumberError(ValueError):
    """A text that should be a number, and is none."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text[:40]!r} is not a number: write it with its country code, like +14155550123")


def find_machine(contact: str) -> str | None:
    """Return why the sender of a message is a machine, to which nothing can be sent (facts 11); else None."""
    if ":" in contact:
        return None
    digits = contact.removeprefix("+")
    if f"+{digits}" in ANONYMOUS or contact.casefold() in _NAMES_OF_ANONYMOUS:
        return "it comes from an anonymous sender"
    if not digits.isdigit():
        return f"it comes from the name {contact[:20]}, which cannot be texted (21211)"
    if len(digits) <= (6 if digits != contact else 8):
        return f"it comes from the short code {contact}, which cannot be texted (21265)"
    return None


def contact_of(address: str) -> str:
    """Return the id of the contact with an address: the bare number of an RCS address, else the address."""
    return address[4:] if address.startswith(_RCS) else address


def is_e164(address: str) -> bool:
    return _NUMBER.fullmatch(address) is not None


def parse_address(text: str) -> str:
    """Return an address that a person has written, such as ``+1 (415) 555-0123``, in Twilio's form.

    It is an E.164 number, a short code, or ``channel:address``.

    Raises:
        InvalidNumberError: when it is none of them.

    """
    visible = (char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char) != "Cf")
    plain = "".join(str(unicodedata.decimal(char, char)) for char in visible).strip()
    channel, colon, written = plain.rpartition(":")
    prefix, number = channel.strip().lower() + colon, _SEPARATORS.sub("", written.replace("(0)", ""))
    if prefix in ("", _RCS, "whatsapp:") and is_e164(number):
        return prefix + number
    if _SHORT_CODE.fullmatch(plain):
        return plain
    if _CHANNEL_ID.fullmatch(prefix + written):
        return prefix + written
    raise InvalidNumberError(text)


def parse_contact(text: str) -> str:
    """Return the contact id of an address that a person has written; a short code is no contact.

    Raises:
        InvalidNumberError: when it is no address of a person.

    """
    contact = contact_of(parse_address(text))
    if _SHORT_CODE.fullmatch(contact) or (":" not in contact and not is_e164(contact)):
        raise InvalidNumberError(text)
    return contact
