"""Numbers: their kind, capabilities, country and location."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumberType

FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
"""When the numbers and Services of the configuration were created: the same for every run."""

WITHOUT_ALPHANUMERIC = frozenset({"US", "CA"})
"""Countries without alphanumeric senders (INFERENCE: of the countries in the demo world)."""

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_SHORT_CODE = re.compile(r"[0-9]{3,8}")
_ALPHANUMERIC = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 +\-_&]{1,11}")


class HttpMethod(Enum):
    """The method of a webhook."""

    GET = "GET"
    POST = "POST"


class NumberKind(Enum):
    """The kinds of number that carriers distinguish."""

    SHORT_CODE = "short code"
    LONG_CODE = "long code"
    TOLL_FREE = "toll-free number"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a number can send and receive."""

    sms: bool = True
    mms: bool = False
    voice: bool = False


@dataclass(frozen=True, slots=True)
class Number:
    """A short code (``SC…``) or a phone number (``PN…``) of the account.

    ``sms_url`` and the fields beside it are the number's own webhook; a Service overrides it
    unless ``use_inbound_webhook_on_number`` is set there (facts 3).
    """

    sid: str
    address: str
    country: str
    capabilities: Capabilities
    friendly_name: str
    sms_url: str = ""
    sms_method: HttpMethod = HttpMethod.POST
    sms_fallback_url: str = ""
    sms_fallback_method: HttpMethod = HttpMethod.POST
    status_callback: str = ""
    voice_url: str = ""
    """Stored only: the sandbox has no calls."""
    voice_method: HttpMethod = HttpMethod.POST
    voice_fallback_url: str = ""
    voice_fallback_method: HttpMethod = HttpMethod.POST
    api_version: str = "2010-04-01"
    created: datetime = FIRST_DAY
    updated: datetime = FIRST_DAY
    is_porting: bool = False
    """True while it is on the account already, and still served by its former carrier."""

    @property
    def kind(self) -> NumberKind:
        return kind_of(self.address)

    def can_text(self, person: str) -> bool:
        """Return whether it can text this person; a short code only in its own country (facts 9.1)."""
        return self.kind is not NumberKind.SHORT_CODE or self.country == country_of(person)


def new_phone_number(sid: str, address: str, now: datetime) -> Number:
    """Return a phone number that has just come to the account."""
    capabilities = Capabilities(sms=True, mms=True, voice=True)
    return Number(sid, address, country_of(address), capabilities, address, created=now, updated=now)


def is_e164(text: str) -> bool:
    """Return whether this is a phone number with a plus and a country code that exists."""
    return bool(_E164.fullmatch(text)) and _parsed(text) is not None


def is_short_code(text: str) -> bool:
    """Return whether these are the digits of a short code; lengths differ by country (facts 9.1)."""
    return bool(_SHORT_CODE.fullmatch(text))


def is_alphanumeric(text: str) -> bool:
    """Return whether this may be an alphanumeric sender (facts 6.1: at most 11, not only digits)."""
    return bool(_ALPHANUMERIC.fullmatch(text))


def can_be_from(text: str) -> bool:
    """Return whether a text can come from this: a phone, or a short code, a name or no number (facts 11)."""
    return is_e164(text) or is_alphanumeric(text) or (text.isdecimal() and len(text) < 10)


def kind_of(address: str) -> NumberKind:
    if is_short_code(address):
        return NumberKind.SHORT_CODE
    parsed = _parsed(address)
    if parsed and phonenumbers.number_type(parsed) == PhoneNumberType.TOLL_FREE:
        return NumberKind.TOLL_FREE
    return NumberKind.LONG_CODE


@lru_cache(maxsize=4096)
def country_of(address: str) -> str:
    """Return the country (ISO 3166, two letters) of an E.164 number, empty when it is unknown."""
    parsed = _parsed(address)
    if parsed is None or parsed.country_code is None:
        return ""
    region = phonenumbers.region_code_for_number(parsed)
    return region or phonenumbers.region_code_for_country_code(parsed.country_code).replace("ZZ", "")


def _parsed(address: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(address)
    except phonenumbers.NumberParseException:
        return None


@dataclass(frozen=True, slots=True)
class NumberLocation:
    """The location of a number, for the webhook's parameters ``From…`` and ``To…`` (facts 1.2).

    Twilio derives it from the number, not from the phone. City, state and zip are empty where they are
    unknown: for short codes, toll-free numbers, and area codes that are not in the table.
    """

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
