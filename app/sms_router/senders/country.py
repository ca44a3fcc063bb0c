"""The country and the area code of a person's number.

The United States, Canada and two dozen smaller countries share +1, so the prefix alone does
not name the country of a short code's reach (facts 9.1).
"""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers

UNITED_STATES = "US"
CANADA = "CA"

_NOT_A_COUNTRY = "001"
_NORTH_AMERICA = "1"
_NORTH_AMERICAN = re.compile(r"\+1([0-9]{3})[0-9]{7}")
_LONGEST_NUMBER = 15
_SHORTEST_NUMBER = 7


def country_of(address: str, from_country: str | None) -> str | None:
    """Return the ISO 3166 country (two letters) of a number, or None when nothing names it.

    ``from_country`` is Twilio's ``FromCountry`` and wins, since Twilio knows about ported
    numbers; without it the number's own calling and area code decide. An address that is not
    E.164 (a short code, a name) has no country of its own.
    """
    if from_country and (country := _named(from_country)) is not None:
        return country
    if not _is_e164(address):
        return None
    if address[1] == _NORTH_AMERICA:
        return _country_of_area_code(address[2:5]) if len(address) == 12 else None
    regions = _regions(address)
    if len(regions) > 1:
        return _country_among(address, regions)
    return regions[0] if regions and regions[0] != _NOT_A_COUNTRY else None


def area_code_of(address: str) -> str | None:
    """Return the three digits of a United States or Canadian area code, None elsewhere.

    Only there does Twilio match senders by area (facts 5.2, Area Code Geomatch).
    """
    number = _NORTH_AMERICAN.fullmatch(address)
    if number is None:
        return None
    return number[1] if _country_of_area_code(number[1]) in {UNITED_STATES, CANADA} else None


def is_toll_free(address: str) -> bool:
    """Tell a toll-free number (+1 888 ...) from a long code; False for what is not E.164."""
    if not _is_e164(address):
        return False
    try:
        number = phonenumbers.parse(address)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.TOLL_FREE


def _is_e164(address: str) -> bool:
    digits = address[1:]
    return (
        address.startswith("+")
        and _SHORTEST_NUMBER <= len(digits) <= _LONGEST_NUMBER
        and digits.isascii()
        and digits.isdigit()
    )


def _regions(address: str) -> tuple[str, ...]:
    """The countries of the calling code; no calling code begins with another one."""
    for length in (1, 2, 3):
        regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(address[1 : 1 + length]))
        if regions:
            return regions
    return ()


@lru_cache(maxsize=1024)
def _named(from_country: str) -> str | None:
    """Return the country that ``FromCountry`` names, None for what is no country's code."""
    is_code = len(from_country) == 2 and from_country.isascii() and from_country.isalpha()
    return from_country.upper() if is_code else None


@lru_cache(maxsize=1024)
def _country_of_area_code(area_code: str) -> str | None:
    """One parse for each area code, not for each person.

    An area code that the library does not know yet is taken for a new one of the United
    States: most are, and a wrong guess is found by the first receipt.
    """
    if area_code[0] in "01":
        return None
    number = phonenumbers.parse(f"+1{area_code}2345678")
    return phonenumbers.region_code_for_number(number) or UNITED_STATES


@lru_cache(maxsize=4096)
def _country_among(address: str, regions: tuple[str, ...]) -> str:
    """The country of a number whose calling code several share (+44, +7); the main one in doubt."""
    try:
        number = phonenumbers.parse(address)
    except phonenumbers.NumberParseException:
        return regions[0]
    return phonenumbers.region_code_for_number(number) or regions[0]
