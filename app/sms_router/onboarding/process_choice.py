"""Which way in is a number's: by its country and what kind of number it is (facts 9.2, 9.3)."""

from __future__ import annotations

from dataclasses import dataclass

import phonenumbers

from sms_router.onboarding.process import Kind, processes
from sms_router.senders.country import CANADA, UNITED_STATES, country_of, is_toll_free

_SHORT_CODES = (Kind.SHORT_CODE_LEASE, Kind.SHORT_CODE_MIGRATION)
_US_LENGTHS = (5, 6)
_SHARING = (UNITED_STATES, CANADA)


class UnsupportedNumberError(ValueError):
    """A number that cannot be onboarded as was asked; the text says why and what would be right."""


@dataclass(frozen=True, slots=True)
class OnboardingPath:
    """A number, its country, and its way in."""

    number: str
    country: str
    kind: Kind


def choose_path(number: str, kind: Kind | None, country: str | None) -> OnboardingPath:
    """Return the way in of a number as it was typed; ``kind`` and ``country`` are what was said of it.

    Without a kind, the one that is right is taken where there is a single one.

    Raises:
        UnfitError: when it is no number, or the kind or the country is not its own.

    """
    number = number.strip()
    if number.isascii() and number.isdigit() and len(number) <= 8:
        return _short_code(number, kind, country)
    return _phone_number(number, kind, country)


def _short_code(number: str, kind: Kind | None, country: str | None) -> OnboardingPath:
    if country not in (None, UNITED_STATES):
        raise UnsupportedNumberError(
            f"Short codes of {country} have no process here: leases move this way in the US only."
            " Ask Twilio's short code team, and keep the code out of use meanwhile: sms-router senders cordon"
        )
    if len(number) not in _US_LENGTHS:
        raise UnsupportedNumberError(f"{number} is not a US short code: these have 5 or 6 digits")
    if kind is None:
        raise UnsupportedNumberError(f"Say how the short code comes in: {_either(_SHORT_CODES)}")
    if kind not in _SHORT_CODES:
        raise UnsupportedNumberError(
            f"Short codes are not ported, they are migrated: {_either(_SHORT_CODES)}"
        )
    return OnboardingPath(number, UNITED_STATES, kind)


def _phone_number(number: str, kind: Kind | None, country: str | None) -> OnboardingPath:
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException as error:
        raise UnsupportedNumberError(
            f"{number} is not a number: write +14155550100 (E.164), or the bare digits of a short code"
        ) from error
    address = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if not phonenumbers.is_possible_number(parsed):
        digits = number.lstrip("+")
        short = "; a short code is written without a plus" if len(digits) <= 8 else ""
        raise UnsupportedNumberError(f"{number} is not a phone number: its length is wrong{short}")
    home = country_of(address, None)
    if _shared(address) and country in _SHARING:
        home = country
    if country is not None and country != home:
        raise UnsupportedNumberError(f"{address} is a number of {home or 'no country'}, not of {country}")
    right = _right_kind(address, home)
    if kind not in (None, right):
        title = processes()[right].title
        raise UnsupportedNumberError(f"{address} does not come in by {kind}: it is --kind {right} ({title})")
    return OnboardingPath(address, home or "", right)


def _shared(address: str) -> bool:
    """Tell whether it is a toll-free number of North America: its country is that of its owner."""
    return address.startswith("+1") and is_toll_free(address)


def _right_kind(address: str, country: str | None) -> Kind:
    if _shared(address):
        return Kind.PORT_TOLL_FREE
    if country == UNITED_STATES:
        return Kind.PORT_US
    return Kind.PORT_CANADA if country == CANADA else Kind.PORT_INTERNATIONAL


def _either(kinds: tuple[Kind, ...]) -> str:
    return " or ".join(f"--kind {kind} ({processes()[kind].title})" for kind in kinds)
