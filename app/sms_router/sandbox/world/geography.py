"""The location of a number, for the ``From…`` and ``To…`` parameters of the webhook (facts 1.2).

Twilio derives it from the number, not from the phone, and leaves city, state and zip empty where they are
unknown: for short codes, toll-free numbers, and area codes that are not in this table.
"""

from __future__ import annotations

from dataclasses import dataclass

from sms_router.sandbox.world.numbers import NumberKind, country_of, is_e164, kind_of


@dataclass(frozen=True, slots=True)
class NumberLocation:
    """Empty strings where Twilio sends empty parameters."""

    city: str = ""
    state: str = ""
    zip: str = ""
    country: str = ""


_AREA_CODES = {
    "202": ("WASHINGTON", "DC", "20001"),
    "206": ("SEATTLE", "WA", "98101"),
    "212": ("NEW YORK", "NY", "10001"),
    "214": ("DALLAS", "TX", "75201"),
    "215": ("PHILADELPHIA", "PA", "19103"),
    "303": ("DENVER", "CO", "80202"),
    "305": ("MIAMI", "FL", "33130"),
    "312": ("CHICAGO", "IL", "60601"),
    "404": ("ATLANTA", "GA", "30303"),
    "415": ("SAN FRANCISCO", "CA", "94103"),
    "512": ("AUSTIN", "TX", "78701"),
    "617": ("BOSTON", "MA", "02108"),
    "702": ("LAS VEGAS", "NV", "89101"),
    "808": ("HONOLULU", "HI", "96813"),
    "416": ("TORONTO", "ON", "M5H 2N2"),
    "514": ("MONTREAL", "QC", "H2Y 1C6"),
    "604": ("VANCOUVER", "BC", "V6B 1A1"),
    "647": ("TORONTO", "ON", "M5H 2N2"),
}


def location_of(address: str, country: str | None = None) -> NumberLocation:
    """Return the location of a number; ``country`` is needed for short codes, whose digits contain none."""
    if not is_e164(address):
        return NumberLocation(country=country or "")
    country = country or country_of(address)
    if address.startswith("+1") and kind_of(address) is NumberKind.LONG_CODE:
        city = _AREA_CODES.get(address[2:5], ("", "", ""))
        return NumberLocation(*city, country)
    return NumberLocation(country=country)
