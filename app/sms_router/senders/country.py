"""The country and the area code of a contact's number.

The United States, Canada and two dozen smaller countries share +1, so the calling code does not tell which
country's short codes reach a number.
"""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers

UNITED_STATES = "US"
CANADA = "CA"
_AREA_CODE_COUNTRIES = frozenset({UNITED_STATES, CANADA})

_NON_GEOGRAPHIC_REGION = "001"
_NORTH_AMERICA = "1"
_NANP_NUMBER = re.compile(r"\+1([0-9]{3})[0-9]{7}")
_E164 = re.compile(r"\+[0-9]{7,15}")


def country_of(address: str, from_country: str | None) -> str | None:
    """Return the ISO 3166-1 alpha-2 country of a number; None when it is unknown.

    ``from_country`` is Twilio's ``FromCountry`` and has precedence, because Twilio knows ported
    numbers; without it the calling code and the area code decide. An address that is not E.164 (a short
    code, an alphanumeric sender) has no country.
    """
    if from_country and (country := _normalize(from_country)) is not None:
        return country
    if not _E164.fullmatch(address):
        return None
    if address[1] == _NORTH_AMERICA:
        return _country_of_area_code(address[2:5]) if len(address) == 12 else None
    regions = _regions(address)
    if len(regions) > 1:
        return _country_among(address, regions)
    return regions[0] if regions and regions[0] != _NON_GEOGRAPHIC_REGION else None


def area_code_of(address: str) -> str | None:
    """Return the three digits of a United States or Canadian area code; None elsewhere.

    Twilio's Area Code Geomatch exists only there.
    """
    number = _NANP_NUMBER.fullmatch(address)
    if number is None:
        return None
    return number[1] if _country_of_area_code(number[1]) in _AREA_CODE_COUNTRIES else None


def is_toll_free(address: str) -> bool:
    """Return whether a number is toll-free (+1 888 ...); False for an address that is not E.164."""
    if not _E164.fullmatch(address):
        return False
    try:
        number = phonenumbers.parse(address)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.TOLL_FREE


def _regions(address: str) -> tuple[str, ...]:
    # No calling code is the prefix of another one.
    for length in (1, 2, 3):
        regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(address[1 : 1 + length]))
        if regions:
            return regions
    return ()


@lru_cache(maxsize=1024)
def _normalize(from_country: str) -> str | None:
    is_code = len(from_country) == 2 and from_country.isascii() and from_country.isalpha()
    return from_country.upper() if is_code else None


@lru_cache(maxsize=1024)
def _country_of_area_code(area_code: str) -> str | None:
    """Parse a number for each area code, not for each contact."""
    if area_code[0] in "01":
        return None
    number = phonenumbers.parse(f"+1{area_code}2345678")
    # Most area codes that the library does not know yet are new ones of the United States; the first
    # delivery receipt corrects a wrong guess.
    return phonenumbers.region_code_for_number(number) or UNITED_STATES


@lru_cache(maxsize=4096)
def _country_among(address: str, regions: tuple[str, ...]) -> str:
    """Return the country of a number whose calling code is shared (+44, +7), the main one by default."""
    try:
        number = phonenumbers.parse(address)
    except phonenumbers.NumberParseException:
        return regions[0]
    return phonenumbers.region_code_for_number(number) or regions[0]
