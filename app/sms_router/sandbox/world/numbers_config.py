"""Reading ``[[short_codes]]`` and ``[[phone_numbers]]``."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from sms_router.sandbox.world.numbers import (
    Capabilities,
    HttpMethod,
    Number,
    country_of,
    is_e164,
    is_short_code,
)
from sms_router.sandbox.world.toml_table import Table

_COUNTRY = re.compile("[A-Z]{2}")


def read_numbers(root: Table) -> dict[str, Number]:
    """Return the account's numbers by their address."""
    rows = [(row, _short_code(row)) for row in root.tables("short_codes")]
    rows += [(row, _phone_number(row)) for row in root.tables("phone_numbers")]
    numbers: dict[str, Number] = {}
    for row, number in rows:
        if number.address in numbers or number.sid in (other.sid for other in numbers.values()):
            row.refuse("sid", f"{number.sid} or {number.address} is there already")
        numbers[number.address] = number
        row.finish()
    return numbers


def read_sid(row: Table, prefix: str) -> str:
    """Return the sid of a table."""
    sid = row.text("sid")
    if not re.fullmatch(f"{prefix}[0-9a-fA-F]{{32}}", sid):
        row.refuse("sid", f"expected {prefix} and 32 hex digits, got {sid!r}")
    return sid


def read_countries(row: Table, key: str) -> frozenset[str]:
    """Return countries by their two letters, empty where none are named."""
    countries = row.texts(key)
    for country in countries:
        if not _COUNTRY.fullmatch(country):
            row.refuse(key, f"expected two capital letters (ISO 3166), got {country!r}")
    return frozenset(countries)


def read_url(row: Table, key: str, default: str = "") -> str:
    """Return a URL, empty where there is none."""
    url = row.text(key, default)
    if url and not _is_url(url):
        row.refuse(key, f"expected an http or https URL, got {url!r}")
        return ""
    return url


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:  # brackets without an address
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _short_code(row: Table) -> Number:
    address, country = row.text("short_code"), row.text("country")
    if not is_short_code(address):
        row.refuse("short_code", f"expected 3 to 8 bare digits, got {address!r}")
    if not _COUNTRY.fullmatch(country):
        row.refuse("country", f"expected two capital letters (ISO 3166), got {country!r}")
    return _number(row, "SC", address, country)


def _phone_number(row: Table) -> Number:
    address = row.text("phone_number")
    if not is_e164(address):
        row.refuse("phone_number", f"expected E.164, such as +14155550100, got {address!r}")
        return _number(row, "PN", address, "")
    return _number(row, "PN", address, country_of(address))


def _number(row: Table, prefix: str, address: str, country: str) -> Number:
    return Number(
        sid=read_sid(row, prefix),
        address=address,
        country=country,
        capabilities=_capabilities(row),
        friendly_name=row.text("friendly_name", address),
        sms_url=read_url(row, "sms_url"),
        sms_method=row.choice("sms_method", HttpMethod, HttpMethod.POST),
        sms_fallback_url=read_url(row, "sms_fallback_url"),
        sms_fallback_method=row.choice("sms_fallback_method", HttpMethod, HttpMethod.POST),
    )


def _capabilities(row: Table) -> Capabilities:
    names = row.texts("capabilities", ["SMS"])
    for name in names:
        if name not in ("SMS", "MMS", "Voice"):
            row.refuse("capabilities", f"expected SMS, MMS or Voice, got {name!r}")
    return Capabilities(sms="SMS" in names, mms="MMS" in names, voice="Voice" in names)
